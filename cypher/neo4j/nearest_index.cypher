// The codes nearest a point: from the vector index, ordered again by the Lorentz inner product in
// float64, each with its path from the sector. Rows of another set than the active one come first,
// so that a caller cannot miss an answer that overlapped an activation; `now` is the index's score
// as the stored vector gives it, and differs where the index was still the old one's. The properties
// of a node are not read at one moment: `whole` says that the point is the active set's, whose
// (:Embedding) never changes.
// Parameters: $vintage, $knn, $flipped ([-q0, q1, ...]), $fetch, $limit, $level, $exclude.
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
CALL db.index.vector.queryNodes('industry_knn', $fetch, $knn) YIELD node AS n, score
WHERE n.vintage = $vintage AND ($level IS NULL OR n.level = $level)
  AND ($exclude IS NULL OR n.code <> $exclude) AND NOT n.missing
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
