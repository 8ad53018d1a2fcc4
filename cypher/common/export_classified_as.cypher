// Codes of the index entries that may be learned from, as columns of one row.
// Parameters: $vintage.
MATCH (n:IndexEntry {vintage: $vintage})
WHERE n.role IS NULL OR n.role <> 'validation'
RETURN collect(n.key) AS source, collect(n.code) AS target;
