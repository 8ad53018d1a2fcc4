// The active set of a vintage. Parameters: $vintage.
MATCH (s:EmbeddingSet {vintage: $vintage, status: 'active'})
RETURN s.id AS id;
