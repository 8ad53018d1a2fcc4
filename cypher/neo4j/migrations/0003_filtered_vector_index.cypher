// Neo4j 2026.01 and newer: the same index with the properties SEARCH filters by inside it.
DROP INDEX industry_knn IF EXISTS;
CYPHER 25
CREATE VECTOR INDEX industry_knn IF NOT EXISTS FOR (n:Industry) ON n.knn WITH [n.vintage, n.level]
OPTIONS {indexConfig: {
  `vector.dimensions`: 66,
  `vector.similarity_function`: 'cosine',
  `vector.quantization.enabled`: false,
  `vector.hnsw.m`: 16,
  `vector.hnsw.ef_construction`: 100
}};
