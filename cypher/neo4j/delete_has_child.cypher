// Edges of the tree that vanished. Parameters: $vintage, $keys.
MATCH (a:Industry {vintage: $vintage})-[r:HAS_CHILD]->(b:Industry)
WHERE a.key + '>' + b.key IN $keys
DELETE r;
