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
MATCH above = (:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
WITH active, origin, properties(nodes(above), 'code') AS above
WHERE list_contains(above, $within)
MATCH path = (:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(near:Industry)
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, origin, near, above, properties(nodes(path), 'code') AS path,
     active.curvature * (2.0 * origin.embedding[1] * near.embedding[1] - list_sum(list_transform(
         range(1, size(origin.embedding)), i -> origin.embedding[i] * near.embedding[i]))) AS cosh
WITH origin, near, above, path, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $pairs
WITH origin, near, distance, 10 - 2 * list_sum(list_transform(
       range(1, 4), i -> CASE WHEN above[i] = path[i] THEN 1 ELSE 0 END)) AS edges
WHERE edges >= $min_edges
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       distance, edges
ORDER BY distance, code, near_code
LIMIT $limit;
