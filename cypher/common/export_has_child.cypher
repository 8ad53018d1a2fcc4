// The tree of a vintage. Parameters: $vintage.
MATCH (a:Industry {vintage: $vintage})-[:HAS_CHILD]->(b:Industry)
RETURN a.code AS source, b.code AS target;
