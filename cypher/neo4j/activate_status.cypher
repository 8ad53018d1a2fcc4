// One active set for each vintage. Parameters: $vintage, $id.
MATCH (s:EmbeddingSet {vintage: $vintage})
SET s.status = CASE s.id WHEN $id THEN 'active' ELSE 'inactive' END;
