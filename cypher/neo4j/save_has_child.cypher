// Edges of the tree. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
MERGE (a)-[:HAS_CHILD]->(b);
