// Which sectors run into each other: pairs of sectors by the number of their six-digit codes
// that lie within a given distance of each other, with the smallest such distance.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param radius => 1.0;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {vintage: $vintage, level: 6})
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND origin.code < near.code
WITH active, origin, near,
     active.curvature * (2.0 * origin.embedding[1] * near.embedding[1] - list_sum(list_transform(
         range(1, size(origin.embedding)), i -> origin.embedding[i] * near.embedding[i]))) AS cosh
WITH origin, near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
WHERE distance <= $radius
MATCH (one:Industry {level: 2})-[:HAS_CHILD*4..4]->(origin)
MATCH (other:Industry {level: 2})-[:HAS_CHILD*4..4]->(near)
WHERE one.key <> other.key
RETURN one.code AS sector, one.title AS sector_title, other.code AS other, other.title AS other_title,
       count(*) AS pairs, min(distance) AS closest
ORDER BY pairs DESC, closest, sector, other
LIMIT $limit;
