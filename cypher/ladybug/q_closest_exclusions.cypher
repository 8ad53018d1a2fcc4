// The cross-references whose two ends lie closest: the boundaries of the classification that
// are hardest to see from the texts.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (here:Industry {vintage: $vintage})-[reference:EXCLUDES]->(there:Industry)
WHERE here.embedding IS NOT NULL AND NOT here.missing AND there.embedding IS NOT NULL AND NOT there.missing
WITH active, here, reference, there,
     active.curvature * (2.0 * here.knn[1] * there.knn[1] + here.knn[active.dims + 2] * there.knn[active.dims + 2]
         - array_inner_product(here.knn, there.knn)) AS cosh
RETURN here.code AS source, here.title AS source_title,
       there.code AS target, there.title AS target_title,
       CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance,
       reference.text AS exclusion
ORDER BY distance, source, target, exclusion
LIMIT $limit;
