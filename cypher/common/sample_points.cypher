// Points of codes in one embedding set, by the keys of its vectors. Parameters: $keys.
UNWIND $keys AS key
MATCH (e:Embedding {key: key})
RETURN e.key AS key, e.embedding AS embedding;
