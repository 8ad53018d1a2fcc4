// Cosine order of `knn` is Lorentz order (see docs); quantisation, on by default, would break it.
CREATE VECTOR INDEX industry_knn IF NOT EXISTS FOR (n:Industry) ON (n.knn)
OPTIONS {indexConfig: {
  `vector.dimensions`: 66,
  `vector.similarity_function`: 'cosine',
  `vector.quantization.enabled`: false,
  `vector.hnsw.m`: 16,
  `vector.hnsw.ef_construction`: 100
}};
