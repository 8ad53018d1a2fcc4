// Index entries that may be learned from and their places, as columns of one row.
// Parameters: $vintage.
MATCH (n:IndexEntry {vintage: $vintage})
WHERE n.role IS NULL OR n.role <> 'validation'
RETURN collect(n.key) AS key, collect(n.position) AS place;
