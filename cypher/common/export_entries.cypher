// Index entries that may be learned from, with their codes. Parameters: $vintage.
MATCH (n:IndexEntry {vintage: $vintage})
WHERE n.role IS NULL OR n.role <> 'validation'
RETURN n.key AS source, n.code AS target;
