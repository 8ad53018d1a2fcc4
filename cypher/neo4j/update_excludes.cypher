// Exclusions that changed; `number` tells several between two codes apart. Parameters: $rows.
UNWIND $rows AS row
MATCH (:Industry {key: row.start})-[r:EXCLUDES {number: row.number}]->(:Industry {key: row.end})
SET r.text = row.text, r.clause = row.clause, r.hash = row.hash, r.position = row.position;
