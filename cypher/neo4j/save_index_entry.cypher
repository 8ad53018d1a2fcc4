// Index entries, new and changed. Parameters: $rows.
UNWIND $rows AS row
MERGE (n:IndexEntry {key: row.key})
SET n += row;
