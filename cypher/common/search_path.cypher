// The codes from the sector down to one code, the code itself last, with their points in the active set.
// Parameters: $key, e.g. '2022:541511'.
MATCH (step:Industry)-[:HAS_CHILD*0..4]->(n:Industry {key: $key})
WHERE NOT n.missing
RETURN step.code AS code, step.title AS title, step.level AS level,
       step.embedding AS embedding, step.embedding_set AS embedding_set
ORDER BY level;
