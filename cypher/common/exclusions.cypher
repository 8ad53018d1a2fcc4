// The exclusions of a vintage. Parameters: $vintage.
MATCH (a:Industry {vintage: $vintage})-[r:EXCLUDES]->(b:Industry)
RETURN a.code AS source, b.code AS target, r.text AS text, r.clause AS clause,
       r.position AS position;
