// Which sectors run into each other: pairs of sectors by the number of their six-digit codes
// that lie within a given distance of each other, with the smallest such distance.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param radius => 1.0;
// :param candidates => 50;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (one:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, one, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing AND near.level = 6 AND origin.code < near.code
WITH active, one, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH one, near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
WHERE distance <= $radius
MATCH (two:Industry {level: 2})-[:HAS_CHILD*4..4]->(near)
WHERE one.key <> two.key
RETURN one.code AS sector, one.title AS sector_title, two.code AS other, two.title AS other_title,
       count(*) AS pairs, min(distance) AS closest
ORDER BY pairs DESC, closest, sector, other
LIMIT $limit;
