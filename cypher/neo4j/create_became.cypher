// New links between vintages. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
CREATE (a)-[:BECAME {key: row.key, kind: row.kind, hash: row.hash}]->(b);
