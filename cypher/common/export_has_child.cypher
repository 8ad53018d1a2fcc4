// The tree of a vintage, as columns of one row. Parameters: $vintage.
MATCH (a:Industry {vintage: $vintage})-[:HAS_CHILD]->(b:Industry)
RETURN collect(a.code) AS source, collect(b.code) AS target;
