// The same among the codes below, and including, one code.
// Parameters: $within (a key), $levels, $exclude ('' for none), $knn, $limit.
MATCH (top:Industry {key: $within})-[:HAS_CHILD*0..4]->(n:Industry)
WHERE n.level IN $levels AND n.code <> $exclude
  AND n.embedding_set IS NOT NULL AND NOT n.missing
WITH n, n.code AS code, array_inner_product(n.knn, CAST($knn, 'DOUBLE[66]')) AS inner
ORDER BY inner DESC, code
LIMIT $limit
MATCH (n)<-[:HAS_CHILD*0..4]-(step:Industry)
RETURN code, inner, n.title AS title, n.level AS level, n.embedding AS embedding,
       n.embedding_set AS embedding_set, collect(step.code) AS codes, collect(step.title) AS titles
ORDER BY inner DESC, code;
