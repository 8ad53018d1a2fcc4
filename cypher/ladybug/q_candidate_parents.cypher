// Which codes one level up lie nearest a code: its parent should come first; another one ahead
// of it is a second opinion on where the code belongs.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param limit => 5;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (near:Industry {vintage: $vintage, level: origin.level - 1})
WHERE near.embedding IS NOT NULL AND NOT near.missing
WITH active, origin, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
RETURN near.code AS code, near.title AS title,
       CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance,
       EXISTS { MATCH (near)-[:HAS_CHILD]->(origin) } AS is_parent
ORDER BY distance, code
LIMIT $limit;
