// What businesses around a code call themselves: its nearest six-digit codes with some of their
// index entries. Validation entries stay out: they are for `evaluate` alone.
// Dialect: ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param code => '812910';
// :param entries => 3;
// :param limit => 5;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (origin:Industry {key: $vintage + ':' + $code})
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE near.key <> origin.key AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, near,
     active.curvature * (2.0 * origin.knn[1] * near.knn[1] + origin.knn[active.dims + 2] * near.knn[active.dims + 2]
         - array_inner_product(origin.knn, near.knn)) AS cosh
WITH near, CASE WHEN cosh > 1.0
          THEN ln(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, near.code
LIMIT $limit
OPTIONAL MATCH (entry:IndexEntry)-[:CLASSIFIED_AS]->(near)
WHERE entry.role IS NULL OR entry.role <> 'validation'
RETURN near.code AS code, near.title AS title, distance,
       list_slice(list_sort(collect(entry.text)), 1, $entries) AS entries
ORDER BY distance, code;
