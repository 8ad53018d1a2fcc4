// Which sectors run into each other: of the $closest nearest pairs of six-digit codes of different
// sectors, how many join which two sectors, and the smallest distance between them.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param closest => 500;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (one:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(origin:Industry)
WHERE origin.embedding IS NOT NULL AND NOT origin.missing
WITH active, one, origin, origin.code AS code, origin.embedding AS x
MATCH (two:Industry {vintage: $vintage, level: 2})-[:HAS_CHILD*4..4]->(near:Industry)
WHERE one <> two AND code < near.code AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, one, two, origin, near, x, near.embedding AS y
WITH active, one, two, origin, near,
     -active.curvature * reduce(total = -2.0 * x[0] * y[0], i IN range(0, size(x) - 1) | total + x[i] * y[i]) AS cosh
WITH one, two, origin, near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, origin.code, near.code
LIMIT $closest
RETURN one.code AS sector, one.title AS sector_title, two.code AS other, two.title AS other_title,
       count(*) AS pairs, min(distance) AS min_distance
ORDER BY pairs DESC, min_distance, sector, other
LIMIT $limit;
