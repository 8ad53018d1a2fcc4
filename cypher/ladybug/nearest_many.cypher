// As nearest, any number of them. Parameters: $vintage, $levels, $knn, $limit.
MATCH (n:Industry)
WHERE n.vintage = $vintage AND n.level IN $levels
  AND n.embedding_set IS NOT NULL AND NOT n.missing
WITH n.key AS key, array_inner_product(n.knn, CAST($knn, 'DOUBLE[66]')) AS inner
ORDER BY inner DESC, key
LIMIT $limit
MATCH (m:Industry {key: key})
RETURN m.code AS code, m.embedding AS embedding, m.embedding_set AS embedding_set
ORDER BY inner DESC, key;
