// The index entries of some codes. Validation entries are in the database for `evaluate` alone and are
// never read here; ladybug takes three times as long where the condition stands beside the pattern.
// Apart from search_evidence: as one query both take twice as long there.
// Parameters: $keys, e.g. ['2022:541511', '2022:812910'].
MATCH (n:Industry)<-[:CLASSIFIED_AS]-(entry:IndexEntry)
WHERE n.key IN $keys
WITH n.code AS code, entry.text AS text, coalesce(entry.role, '') AS role
WHERE role <> 'validation'
RETURN code, text
ORDER BY code, text;
