// Links of kind 'same' from, to or over a vintage.
// Parameters: $vintage.
MATCH (a:Industry)-[r:BECAME {kind: 'same'}]->(b:Industry)
WHERE a.vintage <= $vintage AND b.vintage >= $vintage
RETURN r.key AS key, r.hash AS hash, 0 AS position;
