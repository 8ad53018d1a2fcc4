// Where text and tree disagree: pairs of six-digit codes, the first below one code, that lie
// close in space although they are far apart in the tree (10 edges: different sectors). Of the
// $pairs closest pairs those at least $min_edges apart.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param within => '44-45';
// :param min_edges => 10;
// :param pairs => 2000;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(origin:Industry {level: 6})
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL
WITH active, origin, near,
     active.curvature * (2.0 * origin.embedding[1] * near.embedding[1] - list_sum(list_transform(
         range(1, size(origin.embedding)), i -> origin.embedding[i] * near.embedding[i]))) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $pairs
WITH origin, near, distance,
     10 - 2 * COUNT { MATCH (origin)<-[:HAS_CHILD*1..4]-(:Industry)-[:HAS_CHILD*1..4]->(near) } AS edges
WHERE edges >= $min_edges
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       distance, edges
ORDER BY distance, code, near_code
LIMIT $limit;
