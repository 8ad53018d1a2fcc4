// New index entries. Parameters: $rows.
UNWIND $rows AS row
CREATE (n:IndexEntry)
SET n = row;
