// The most general of a code's near neighbours: of its nearest codes of any level, its own
// ancestors left out, those with the smallest radius first. Radius grows with detail.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param neighbours => 50;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (near:Industry {vintage: $vintage})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
  AND NOT EXISTS { MATCH (near)-[:HAS_CHILD*1..4]->(origin) }
WITH active, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $neighbours
RETURN near.code AS code, near.title AS title, near.level AS level, near.radius AS radius, distance
ORDER BY radius, code
LIMIT $limit;
