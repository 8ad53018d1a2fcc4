// As nearest_index without the index: all codes of the vintage, or those below (and including) one,
// are measured in float64. Parameters: $vintage, $flipped, $limit, $level, $exclude, $within (a key
// or null).
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
CALL () {
  MATCH (n:Industry {vintage: CASE WHEN $within IS NULL THEN $vintage END})
  RETURN n
  UNION ALL
  MATCH (:Industry {key: $within})-[:HAS_CHILD*0..4]->(n:Industry)
  RETURN n
}
WITH active, n
WHERE ($level IS NULL OR n.level = $level) AND ($exclude IS NULL OR n.code <> $exclude)
  AND NOT n.missing
WITH active, n, n.embedding_set AS embedding_set, n.embedding AS point
WHERE embedding_set IS NOT NULL
WITH active, n, embedding_set, point,
     reduce(total = 0.0, i IN range(0, size(point) - 1) | total + $flipped[i] * point[i]) AS inner
ORDER BY embedding_set <> active.id DESC, inner DESC, n.code
LIMIT $limit
OPTIONAL MATCH (stored:Embedding {key: active.id + '|' + n.key})
OPTIONAL MATCH path = (:Sector)-[:HAS_CHILD*0..4]->(n)
RETURN active.id AS active, embedding_set, n.code AS code, n.title AS title, n.level AS level,
       point AS embedding, stored.embedding = point AS whole, inner, [step IN nodes(path) | [step.code, step.title]] AS path
ORDER BY inner DESC, code;
