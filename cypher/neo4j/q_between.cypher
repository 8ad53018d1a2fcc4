// What lies between two codes: the codes nearest the midpoint of the geodesic that joins them.
// With m = x + y scaled onto the sheet, cosh d(m, z) = (cosh d(x, z) + cosh d(y, z)) / sqrt(2 + 2 cosh d(x, y)).
// Dialect: Neo4j 5.26 and newer
// :param vintage => '2022';
// :param code => '541511';
// :param other => '611420';
// :param level => 6;
// :param limit => 5;
MATCH (active:EmbeddingSet {vintage: $vintage, status: 'active'})
MATCH (x:Industry {key: $vintage + ':' + $code})
MATCH (y:Industry {key: $vintage + ':' + $other})
MATCH (z:Industry {vintage: $vintage, level: $level})
WHERE z.key <> x.key AND z.key <> y.key AND z.embedding IS NOT NULL AND NOT z.missing
WITH active, z,
     -active.curvature * reduce(total = -2.0 * x.embedding[0] * y.embedding[0],
         i IN range(0, size(x.embedding) - 1) | total + x.embedding[i] * y.embedding[i]) AS cosh_xy,
     -active.curvature * reduce(total = -2.0 * x.embedding[0] * z.embedding[0],
         i IN range(0, size(x.embedding) - 1) | total + x.embedding[i] * z.embedding[i]) AS cosh_xz,
     -active.curvature * reduce(total = -2.0 * y.embedding[0] * z.embedding[0],
         i IN range(0, size(y.embedding) - 1) | total + y.embedding[i] * z.embedding[i]) AS cosh_yz
WITH active, z, cosh_xz, cosh_yz, (cosh_xz + cosh_yz) / sqrt(2.0 + 2.0 * cosh_xy) AS cosh
RETURN z.code AS code, z.title AS title,
       CASE WHEN cosh > 1.0
          THEN log(cosh + sqrt(cosh * cosh - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS distance,
       CASE WHEN cosh_xz > 1.0
          THEN log(cosh_xz + sqrt(cosh_xz * cosh_xz - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS from_code,
       CASE WHEN cosh_yz > 1.0
          THEN log(cosh_yz + sqrt(cosh_yz * cosh_yz - 1.0)) / sqrt(active.curvature) ELSE 0.0 END AS from_other
ORDER BY distance, code
LIMIT $limit;
