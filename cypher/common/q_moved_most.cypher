// Codes whose refined point moved most: how far stage 4 moves them from where stage 3 placed them,
// accepted or not, the farthest first. Beside it, how far the parent moves, and what the code hears in
// the graph: its index entries (validation left out) and the codes it excludes or that exclude it. No
// rows where no stage 4 was trained or the set is older than this figure.
// Dialect: Neo4j 5.26 and newer; ladybug 0.22 (embedded)
// :param vintage => '2022';
// :param limit => 10;
MATCH (n:Industry {vintage: $vintage})
WHERE n.moved > 0.0 AND NOT n.missing
WITH n
ORDER BY n.moved DESC, n.code
LIMIT $limit
OPTIONAL MATCH (parent:Industry)-[:HAS_CHILD]->(n)
OPTIONAL MATCH (entry:IndexEntry)-[:CLASSIFIED_AS]->(n)
WHERE entry.role IS NULL OR entry.role <> 'validation'
WITH n, parent, count(entry) AS entries
OPTIONAL MATCH (n)-[:EXCLUDES]-(other:Industry)
WHERE NOT other.missing
RETURN n.code AS code, n.title AS title, n.level AS level, n.moved AS moved, parent.code AS parent,
       parent.moved AS parent_moved, entries, count(DISTINCT other.code) AS exclusions
ORDER BY moved DESC, code;
