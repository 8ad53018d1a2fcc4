// How far a subtree spreads: for every code of a level the mean and the largest distance to its
// six-digit codes, the widest first.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param level => 3;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (top:Industry {vintage: $vintage, level: $level})-[:HAS_CHILD*1..4]->(leaf:Industry {level: 6})
WHERE leaf.embedding IS NOT NULL AND NOT leaf.missing
WITH active, top, leaf,
     -active.curvature * reduce(total = -2.0 * top.embedding[0] * leaf.embedding[0],
         i IN range(0, size(top.embedding) - 1) | total + top.embedding[i] * leaf.embedding[i]) AS cosh
WITH top, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
RETURN top.code AS code, top.title AS title, count(*) AS leaves,
       avg(distance) AS mean_distance, max(distance) AS max_distance
ORDER BY mean_distance DESC, code
LIMIT $limit;
