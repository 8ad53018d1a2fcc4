// All embedding sets, newest first.
MATCH (s:EmbeddingSet)
RETURN s.id AS id, s.vintage AS vintage, s.status AS status, s.created AS created, s.dims AS dims,
       s.curvature AS curvature, s.model_sha256 AS model_sha256, s.data_sha256 AS data_sha256,
       s.metrics AS metrics
ORDER BY created DESC, id DESC;
