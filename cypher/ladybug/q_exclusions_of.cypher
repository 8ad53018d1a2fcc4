// What a code leaves out: the codes its cross-references send business to, nearest first, with
// the sentence. A far one is easily told apart, a near one is where coders err.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '541511';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (origin)-[reference:EXCLUDES]->(other:Industry)
WHERE other.embedding IS NOT NULL AND NOT other.missing
WITH active, reference, other,
     active.curvature * (2.0 * origin.knn[1] * other.knn[1] + origin.knn[active.dims + 2] * other.knn[active.dims + 2]
         - array_inner_product(origin.knn, other.knn)) AS cosh
RETURN other.code AS code, other.title AS title,
       CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance,
       reference.text AS exclusion
ORDER BY distance, code, exclusion
LIMIT $limit;
