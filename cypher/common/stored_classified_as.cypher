// Which code the index entries of a vintage belong to; no content but the ends.
// Parameters: $vintage, $empty_hash.
MATCH (a:IndexEntry {vintage: $vintage})-[:CLASSIFIED_AS]->(b:Industry)
RETURN a.key + '>' + b.key AS key, $empty_hash AS hash, 0 AS position;
