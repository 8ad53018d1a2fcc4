// How far a subtree spreads: for every code of a level the mean and the largest distance to its
// six-digit codes, the widest first.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param level => 3;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (top:Industry {vintage: $vintage, level: $level})-[:HAS_CHILD*1..4]->(leaf:Industry {level: 6})
WHERE leaf.embedding IS NOT NULL AND NOT leaf.missing
WITH active, top, leaf,
     active.curvature * (2.0 * top.knn[1] * leaf.knn[1] + top.knn[active.dims + 2] * leaf.knn[active.dims + 2]
         - array_inner_product(top.knn, leaf.knn)) AS cosh
WITH top, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
RETURN top.code AS code, top.title AS title, count(*) AS leaves,
       avg(distance) AS mean_distance, max(distance) AS max_distance
ORDER BY mean_distance DESC, code
LIMIT $limit;
