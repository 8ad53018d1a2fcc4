// Where text and tree disagree: the six-digit codes outside a subtree that lie closest to one
// inside it. With a sector as the subtree they are as far apart in the tree as codes can be.
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param within => '44-45';
// :param limit => 10;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (:Industry {key: $vintage + ':' + $within})-[:HAS_CHILD*0..4]->(member:Industry {level: 6})
WHERE member.embedding IS NOT NULL AND NOT member.missing
WITH active, collect(member) AS members
MATCH (near:Industry {vintage: $vintage, level: 6})
WHERE NOT near IN members AND near.embedding IS NOT NULL AND NOT near.missing
WITH active, members, near, near.embedding AS y
UNWIND members AS origin
WITH active, origin, near, origin.embedding AS x, y
WITH active, origin, near,
     -active.curvature * reduce(total = -2.0 * x[0] * y[0], i IN range(0, size(x) - 1) | total + x[i] * y[i]) AS cosh
RETURN origin.code AS code, origin.title AS title, near.code AS near_code, near.title AS near_title,
       CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance
ORDER BY distance, code, near_code
LIMIT $limit;
