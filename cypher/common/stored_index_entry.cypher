// What the database holds of the index entries of a vintage.
// Parameters: $vintage.
MATCH (n:IndexEntry {vintage: $vintage})
RETURN n.key AS key, n.hash AS hash, n.position AS position;
