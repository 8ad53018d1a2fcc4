// Where text and tree disagree: the six-digit codes outside a subtree that lie closest to one
// inside it. With a sector as the subtree they are as far apart in the tree as codes can be.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param within => '44-45';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(member:Industry {level: 6})
WHERE member.embedding IS NOT NULL AND NOT member.missing
WITH active, collect(member.key) AS members
MATCH (origin:Industry)
WHERE list_contains(members, origin.key)
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE NOT list_contains(members, near.key) AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, origin, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, code, near_code
LIMIT $limit;
