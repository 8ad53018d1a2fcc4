// The siblings of a code, the children of its parent, by hyperbolic distance from it.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (origin)<-[:HAS_CHILD]-(:Industry)-[:HAS_CHILD]->(sibling:Industry)
WHERE sibling.key <> origin.key AND sibling.embedding IS NOT NULL AND NOT sibling.missing
WITH active, sibling,
     active.curvature * (2.0 * origin.knn[1] * sibling.knn[1] + origin.knn[active.dims + 2] * sibling.knn[active.dims + 2]
         - array_inner_product(origin.knn, sibling.knn)) AS cosh
RETURN sibling.code AS code, sibling.title AS title,
       CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, code
LIMIT $limit;
