// Index entries that vanished. Parameters: $keys.
UNWIND $keys AS key
MATCH (n:IndexEntry {key: key})
DETACH DELETE n;
