// Parameters: $id.
MATCH (s:EmbeddingSet {id: $id})
DETACH DELETE s
WITH count(*) AS _
MATCH (e:Embedding {set: $id})
DETACH DELETE e;
