// Index entries that changed. Parameters: $rows.
UNWIND $rows AS row
MATCH (n:IndexEntry {key: row.key})
SET n += row;
