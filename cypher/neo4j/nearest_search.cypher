// As nearest_index, with vintage and level filtered inside the index (Neo4j 2026.01 and newer).
// Parameters: $vintage, $knn, $flipped, $fetch, $limit, $lowest, $highest, $exclude.
CYPHER 25
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (n:Industry)
  SEARCH n IN (
    VECTOR INDEX industry_knn FOR $knn
    WHERE n.vintage = $vintage AND n.level >= $lowest AND n.level <= $highest
    LIMIT $fetch
  ) SCORE AS score
WHERE ($exclude IS NULL OR n.code <> $exclude) AND NOT n.missing
WITH active, n, score, n.embedding_set AS embedding_set, n.embedding AS point
WITH active, n, score, embedding_set, point,
     reduce(total = 0.0, i IN range(0, size(point) - 1) | total + $flipped[i] * point[i]) AS inner
ORDER BY embedding_set <> active.id DESC, inner DESC, n.code
LIMIT $limit
OPTIONAL MATCH (stored:Embedding {key: active.id + '|' + n.key})
OPTIONAL MATCH path = (:Sector)-[:HAS_CHILD*0..4]->(n)
RETURN active.id AS active, embedding_set, n.code AS code, n.title AS title, n.level AS level,
       point AS embedding, stored.embedding = point AS whole, inner, score, vector.similarity.cosine(n.knn, $knn) AS now,
       [step IN nodes(path) | [step.code, step.title]] AS path
ORDER BY inner DESC, code;
