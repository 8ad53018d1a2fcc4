// Codes that changed; their level, and so their labels, cannot. Parameters: $rows.
UNWIND $rows AS row
MATCH (n:Industry {key: row.key})
SET n += row;
