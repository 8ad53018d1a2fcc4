// The six-digit codes below one code (a sector, say) that lie nearest another code, each with its
// path from the sector. Distances are geodesic, over every code below: exact, no index.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param within => '51';
// :param limit => 5;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(near:Industry {level: 6})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $limit
MATCH (near)<-[:HAS_CHILD*0..4]-(step:Industry)
RETURN near.code AS code, near.title AS title, distance,
       list_sort(collect(step.code)) AS path
ORDER BY distance, code;
