// Which sectors run into each other: of the $closest nearest pairs of six-digit codes of different
// sectors, how many join which two sectors, and the smallest distance between them.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param closest => 500;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (one:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
MATCH (two:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(near:Industry)
WHERE one.key <> two.key AND origin.code < near.code AND origin.embedding IS NOT NULL AND NOT origin.missing
  AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, one, two, origin, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH one, two, origin, near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $closest
RETURN one.code AS sector, one.title AS sector_title, two.code AS other, two.title AS other_title,
       count(*) AS pairs, min(distance) AS min_distance
ORDER BY pairs DESC, min_distance, sector, other
LIMIT $limit;
