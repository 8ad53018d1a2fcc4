// Where text and tree disagree: pairs of six-digit codes, the first below one code, that lie
// close in space although they are far apart in the tree (10 edges: different sectors). Of the
// $pairs closest pairs those at least $min_edges apart.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param within => '44-45';
// :param min_edges => 10;
// :param pairs => 2000;
// :param candidates => 100;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(origin:Industry {level: 6})
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing AND near.level = 6
WITH active, origin, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $pairs
WITH origin, near, distance,
     10 - 2 * COUNT { (origin)<-[:HAS_CHILD*1..4]-(:Industry)-[:HAS_CHILD*1..4]->(near) } AS edges
WHERE edges >= $min_edges
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       distance, edges
ORDER BY distance, code, near_code
LIMIT $limit;
