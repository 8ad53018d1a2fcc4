// The tree of a vintage. It has no content but its ends, so its hash is that of nothing.
// Parameters: $vintage, $empty_hash.
MATCH (a:Industry {vintage: $vintage})-[:HAS_CHILD]->(b:Industry)
RETURN a.key + '>' + b.key AS key, $empty_hash AS hash, 0 AS position;
