// Links between vintages. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
MERGE (a)-[r:BECAME {kind: row.kind}]->(b)
SET r.key = row.key, r.hash = row.hash;
