// Texts of index entries that may be learned from, by their keys. Parameters: $keys.
UNWIND $keys AS key
MATCH (n:IndexEntry {key: key})
WHERE n.role IS NULL OR n.role <> 'validation'
RETURN n.key AS key, n.text AS text;
