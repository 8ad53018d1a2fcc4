// The own labelled texts of some codes: title, illustrative examples, index entries. Validation
// entries are in the database for `evaluate` alone and are never read here.
// Parameters: $keys, e.g. ['2022:541511', '2022:812910'].
MATCH (n:Industry)
WHERE n.key IN $keys
OPTIONAL MATCH (entry:IndexEntry)-[:CLASSIFIED_AS]->(n)
WHERE entry.role IS NULL OR entry.role <> 'validation'
RETURN n.code AS code, n.title AS title, n.examples AS examples, collect(entry.text) AS entries
ORDER BY code;
