// The eleven codes of some levels nearest a point, by an exact scan of the active set.
// Stored knn vectors are time first, and the query has its time flipped, so their product in float64
// is the Lorentz inner product: the largest is the nearest.
// Only a limit written here lets ladybug keep the plan, and keys alone go through the sort: with a
// parameter and with embeddings it takes three times as long. nearest_many has the limit free.
// Parameters: $vintage, $levels, $knn.
MATCH (n:Industry)
WHERE n.vintage = $vintage AND n.level IN $levels
  AND n.embedding_set IS NOT NULL AND NOT n.missing
WITH n.key AS key, array_inner_product(n.knn, CAST($knn, 'DOUBLE[66]')) AS inner
ORDER BY inner DESC, key
LIMIT 11
MATCH (m:Industry {key: key})
RETURN m.code AS code, m.embedding AS embedding, m.embedding_set AS embedding_set
ORDER BY inner DESC, key;
