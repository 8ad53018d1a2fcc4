// One embedding set. Parameters: $id.
MATCH (s:EmbeddingSet {id: $id})
RETURN s.id AS id, s.vintage AS vintage, s.status AS status;
