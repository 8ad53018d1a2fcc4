// The texts of codes that vanished, which no split was compared with. Parameters: $keys.
UNWIND $keys AS key
MATCH (n:Industry {key: key})
SET n.description = '', n.examples = [], n.excluded = [];
