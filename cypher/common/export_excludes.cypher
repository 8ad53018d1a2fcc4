// The exclusions of a vintage. Parameters: $vintage.
MATCH (a:Industry {vintage: $vintage})-[:EXCLUDES]->(b:Industry)
RETURN a.code AS source, b.code AS target;
