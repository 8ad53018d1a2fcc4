// Codes that vanished stay, marked. Parameters: $keys.
UNWIND $keys AS key
MATCH (n:Industry {key: key})
SET n.missing = true;
