// Codes of entries that vanished. Parameters: $vintage, $keys.
MATCH (a:IndexEntry {vintage: $vintage})-[r:CLASSIFIED_AS]->(b:Industry)
WHERE a.key + '>' + b.key IN $keys
DELETE r;
