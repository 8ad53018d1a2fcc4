// Which sectors run into each other: of the $closest nearest pairs of six-digit codes of different
// sectors, how many join which two sectors, and the smallest distance between them.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param closest => 500;
// :param candidates => 100;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (one:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, one, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing AND near.level = 6 AND origin.code < near.code
MATCH (two:Industry {level: 2})-[:HAS_CHILD*4..4]->(near)
WHERE one.key <> two.key
WITH active, one, two, origin, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH one, two, origin, near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $closest
RETURN one.code AS sector, one.title AS sector_title, two.code AS other, two.title AS other_title,
       count(*) AS pairs, min(distance) AS min_distance
ORDER BY pairs DESC, min_distance, sector, other
LIMIT $limit;
