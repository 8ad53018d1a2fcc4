// What businesses around a code call themselves: its nearest six-digit codes with some of their
// index entries. Validation entries stay out: they are for `evaluate` alone.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param code => '812910';
// :param entries => 3;
// :param limit => 5;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
WITH near, CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $limit
OPTIONAL MATCH (entry:IndexEntry)-[:CLASSIFIED_AS]->(near)
WHERE entry.role IS NULL OR entry.role <> 'validation'
WITH near, distance, entry
ORDER BY entry.text
RETURN near.code AS code, near.title AS title, distance,
       collect(entry.text)[0..$entries] AS entries
ORDER BY distance, code;
