// Near codes that send business back: among the nearest codes of any level those whose
// cross-references name this code, with the sentence that does.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param code => '541511';
// :param neighbours => 100;
// :param candidates => 400;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing
WITH active, origin, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $neighbours
MATCH (near)-[reference:EXCLUDES]->(origin)
RETURN near.code AS code, near.title AS title, distance, reference.text AS exclusion
ORDER BY distance, code, exclusion
LIMIT $limit;
