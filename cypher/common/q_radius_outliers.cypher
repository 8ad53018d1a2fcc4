// Codes whose radius is far from that of their level: standard deviations from the level's mean, the
// farthest first. Positive: more detailed than its level; negative: more general.
// Dialect: Neo4j 5.26 and newer; ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param limit => 10;
MATCH (peer:Industry {vintage: $vintage})
WHERE peer.radius IS NOT NULL AND NOT peer.missing
WITH peer.level AS level, avg(peer.radius) AS mean, avg(peer.radius * peer.radius) AS mean_square
WITH level, mean, sqrt(abs(mean_square - mean * mean)) AS deviation
WHERE deviation > 0.0
MATCH (n:Industry {vintage: $vintage})
WHERE n.level = level AND n.radius IS NOT NULL AND NOT n.missing
RETURN n.code AS code, n.title AS title, level, n.radius AS radius, mean,
       (n.radius - mean) / deviation AS deviations
ORDER BY abs((n.radius - mean) / deviation) DESC, code
LIMIT $limit;
