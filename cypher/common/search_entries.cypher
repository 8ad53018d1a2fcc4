// The index entries of some codes. Validation entries are in the database for `evaluate` alone and are
// never read here. Apart from search_evidence: as one query both take twice as long in ladybug.
// Parameters: $keys, e.g. ['2022:541511', '2022:812910'].
MATCH (n:Industry)<-[:CLASSIFIED_AS]-(entry:IndexEntry)
WHERE n.key IN $keys AND (entry.role IS NULL OR entry.role <> 'validation')
RETURN n.code AS code, entry.text AS text
ORDER BY code, text;
