// Near codes that send business back: among the nearest codes of any level those whose
// cross-references name this code, with the sentence that does.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param neighbours => 100;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (near:Industry {vintage: $vintage})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, origin, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $neighbours
MATCH (near)-[reference:EXCLUDES]->(origin)
RETURN near.code AS code, near.title AS title, distance, reference.text AS exclusion
ORDER BY distance, code, exclusion
LIMIT $limit;
