// Near in space, far in the tree: of the pairs of codes of a level that are at least $far edges
// apart in the tree, the closest. Codes of two sectors are 10 apart at level 6 and 2 at level 2, those
// of one parent 2. Candidates for another place in the classification.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param level => 6;
// :param far => 10;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
// The highest ancestor that a pair so far apart cannot share.
MATCH (one:Industry)-[:HAS_CHILD*0..4]->(origin:Industry {vintage: $vintage, level: $level})
WHERE 2 * (origin.depth - one.depth) < $far AND 2 * (origin.depth - one.depth) + 2 >= $far
  AND origin.embedding IS NOT NULL AND NOT origin.missing
MATCH (two:Industry)-[:HAS_CHILD*0..4]->(near:Industry {vintage: $vintage, level: $level})
WHERE two.depth = one.depth AND two.key <> one.key AND origin.code < near.code
  AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, origin, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $limit
OPTIONAL MATCH (common:Industry)-[:HAS_CHILD*1..4]->(origin), (common)-[:HAS_CHILD*1..4]->(near)
WITH origin, near, distance, 2 * (origin.depth - coalesce(max(common.depth), 0)) AS tree_distance
OPTIONAL MATCH (parent:Industry)-[:HAS_CHILD]->(origin)
OPTIONAL MATCH (near_parent:Industry)-[:HAS_CHILD]->(near)
RETURN origin.code AS code, origin.title AS title, parent.code AS parent, parent.title AS parent_title,
       near.code AS near_code, near.title AS near_title,
       near_parent.code AS near_parent, near_parent.title AS near_parent_title, distance, tree_distance
ORDER BY distance, code, near_code;
