// The cross-references whose two ends lie closest: the boundaries of the classification that
// are hardest to see from the texts.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (here:Industry {vintage: $vintage})-[reference:EXCLUDES]->(there:Industry)
WHERE here.embedding IS NOT NULL AND NOT here.missing AND there.embedding IS NOT NULL AND NOT there.missing
WITH active, here, reference, there,
     -active.curvature * reduce(total = -2.0 * here.embedding[0] * there.embedding[0],
         i IN range(0, size(here.embedding) - 1) | total + here.embedding[i] * there.embedding[i]) AS cosh
RETURN here.code AS source, here.title AS source_title,
       there.code AS target, there.title AS target_title,
       CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance,
       reference.text AS exclusion
ORDER BY distance, source, target, exclusion
LIMIT $limit;
