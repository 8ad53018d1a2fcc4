// Where text and tree disagree: the six-digit codes outside a subtree that lie closest to one
// inside it. With a sector as the subtree they are as far apart in the tree as codes can be.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param within => '44-45';
// :param candidates => 300;
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(member:Industry {level: 6})
WHERE member.embedding IS NOT NULL AND NOT member.missing
WITH active, collect(member.key) AS members
MATCH (origin:Industry)
WHERE origin.key IN members
CALL db.index.vector.queryNodes('industry_knn', $candidates,
  [i IN range(0, size(origin.knn) - 1) | CASE WHEN i = 0 THEN -origin.embedding[0]
     WHEN i < size(origin.embedding) THEN origin.embedding[i] ELSE 0.0 END]) YIELD node AS near
WITH active, members, origin, near
WHERE near.vintage = $vintage AND near <> origin AND NOT near.missing AND near.level = 6
  AND NOT near.key IN members
WITH active, origin, near,
     -active.curvature * reduce(total = -2.0 * origin.embedding[0] * near.embedding[0],
         i IN range(0, size(origin.embedding) - 1) | total + origin.embedding[i] * near.embedding[i]) AS cosh
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, code, near_code
LIMIT $limit;
