// The points of a set, in code order. Parameters: $id.
MATCH (e:Embedding {set: $id})-[:OF]->(n:Industry)
RETURN n.code AS code, e.embedding AS embedding
ORDER BY code;
