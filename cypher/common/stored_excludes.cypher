// What the database holds of the exclusions of a vintage.
// Parameters: $vintage.
MATCH (:Industry {vintage: $vintage})-[r:EXCLUDES]->(:Industry)
RETURN r.key AS key, r.hash AS hash, r.position AS position;
