// Exclusions that vanished. Parameters: $vintage, $keys.
MATCH (:Industry {vintage: $vintage})-[r:EXCLUDES]->(:Industry)
WHERE r.key IN $keys
DELETE r;
