// New edges of the tree. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
CREATE (a)-[:HAS_CHILD]->(b);
