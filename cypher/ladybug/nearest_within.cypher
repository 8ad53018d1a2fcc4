// As nearest_many, among the codes below, and including, one code.
// Parameters: $within (a key), $levels, $knn, $limit.
MATCH (top:Industry {key: $within})-[:HAS_CHILD*0..4]->(n:Industry)
WHERE n.level IN $levels AND n.embedding_set IS NOT NULL AND NOT n.missing
WITH n.key AS key, array_inner_product(n.knn, CAST($knn, 'DOUBLE[66]')) AS inner
ORDER BY inner DESC, key
LIMIT $limit
MATCH (m:Industry {key: key})
RETURN m.code AS code, m.embedding AS embedding, m.embedding_set AS embedding_set
ORDER BY inner DESC, key;
