// Exclusions, new and changed; `number` tells several between two codes apart. Parameters: $rows.
UNWIND $rows AS row
MATCH (a:Industry {key: row.start})
MATCH (b:Industry {key: row.end})
MERGE (a)-[r:EXCLUDES {number: row.number}]->(b)
SET r.key = row.key, r.text = row.text, r.clause = row.clause, r.hash = row.hash,
    r.position = row.position;
