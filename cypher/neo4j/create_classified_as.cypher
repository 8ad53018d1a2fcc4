// The codes of index entries. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:IndexEntry {key: row.start})
MATCH (b:Industry {key: row.end})
CREATE (a)-[:CLASSIFIED_AS]->(b);
