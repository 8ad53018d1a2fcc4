// Every table with its columns in the order of the schema; relationships as keys of their ends.
// A write copies the tables into a new file (copy_tables), in this order.
MATCH (n:Migration) RETURN n.name AS name, n.applied AS applied;
MATCH (n:Vintage)
RETURN n.vintage AS vintage, n.version AS version, n.left_out AS left_out, n.split AS split;
MATCH (n:Industry)
RETURN n.key AS key, n.vintage AS vintage, n.code AS code, n.level AS level, n.depth AS depth,
       n.parent AS parent, n.title AS title, n.description AS description, n.examples AS examples,
       n.excluded AS excluded, n.described_by AS described_by, n.missing AS missing,
       n.hash AS hash, n.position AS position, n.embedding_set AS embedding_set,
       n.embedding AS embedding, n.radius AS radius, n.poincare_x AS poincare_x,
       n.poincare_y AS poincare_y, n.knn AS knn, n.moved AS moved;
MATCH (n:IndexEntry)
RETURN n.key AS key, n.vintage AS vintage, n.code AS code, n.text AS text, n.role AS role,
       n.source AS source, n.hash AS hash, n.position AS position;
MATCH (n:EmbeddingSet)
RETURN n.id AS id, n.vintage AS vintage, n.status AS status, n.created AS created, n.dims AS dims,
       n.curvature AS curvature, n.model_sha256 AS model_sha256, n.data_sha256 AS data_sha256,
       n.metrics AS metrics;
MATCH (n:Embedding)
RETURN n.key AS key, n.`set` AS `set`, n.embedding AS embedding, n.radius AS radius,
       n.poincare_x AS poincare_x, n.poincare_y AS poincare_y, n.knn AS knn, n.moved AS moved;
MATCH (a:Industry)-[:HAS_CHILD]->(b:Industry) RETURN a.key AS start, b.key AS `end`;
MATCH (a:Industry)-[r:EXCLUDES]->(b:Industry)
RETURN a.key AS start, b.key AS `end`, r.key AS key, r.number AS number, r.text AS text,
       r.clause AS clause, r.hash AS hash, r.position AS position;
MATCH (a:IndexEntry)-[:CLASSIFIED_AS]->(b:Industry) RETURN a.key AS start, b.key AS `end`;
MATCH (a:Industry)-[r:BECAME]->(b:Industry)
RETURN a.key AS start, b.key AS `end`, r.key AS key, r.kind AS kind, r.hash AS hash;
MATCH (a:Embedding)-[:OF]->(b:Industry) RETURN a.key AS start, b.key AS `end`;
