// Which sectors run into each other: pairs of sectors by the number of their six-digit codes
// that lie within a given distance of each other, with the smallest such distance.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param radius => 1.0;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (one:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
MATCH (two:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(near:Industry)
WHERE one.key <> two.key AND origin.code < near.code AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, one, two,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH one, two, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
WHERE distance <= $radius
RETURN one.code AS sector, one.title AS sector_title, two.code AS other, two.title AS other_title,
       count(*) AS pairs, min(distance) AS closest
ORDER BY pairs DESC, closest, sector, other
LIMIT $limit;
