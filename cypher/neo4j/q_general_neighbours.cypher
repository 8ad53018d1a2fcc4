// The most general of a code's near neighbours: of its nearest codes of any level, its own
// ancestors left out, those with the smallest radius first. Radius grows with detail.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param code => '541511';
// :param neighbours => 50;
// :param candidates => 200;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing
  AND NOT EXISTS { (near)-[:HAS_CHILD*1..4]->(origin) }
WITH active, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $neighbours
RETURN near.code AS code, near.title AS title, near.level AS level, near.radius AS radius, distance
ORDER BY radius, code
LIMIT $limit;
