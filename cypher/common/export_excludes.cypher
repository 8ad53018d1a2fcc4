// The exclusions of a vintage, as columns of one row. Parameters: $vintage.
MATCH (a:Industry {vintage: $vintage})-[:EXCLUDES]->(b:Industry)
RETURN collect(a.code) AS source, collect(b.code) AS target;
