// New exclusions. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
CREATE (a)-[:EXCLUDES {key: row.key, number: row.number, text: row.text, clause: row.clause,
        hash: row.hash, position: row.position}]->(b);
