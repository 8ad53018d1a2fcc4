// The graph schema of DESIGN section 3 as tables. `knn` has the length of store/sets.py.
CREATE NODE TABLE IF NOT EXISTS Migration(name STRING PRIMARY KEY, applied STRING);
CREATE NODE TABLE IF NOT EXISTS Vintage(
  vintage STRING PRIMARY KEY, version STRING, left_out STRING, split BOOL);
CREATE NODE TABLE IF NOT EXISTS Industry(
  key STRING PRIMARY KEY, vintage STRING, code STRING, level INT64, depth INT64, parent STRING,
  title STRING, description STRING, examples STRING[], excluded STRING[], described_by STRING,
  missing BOOL, hash STRING, position INT64,
  embedding_set STRING, embedding DOUBLE[], radius DOUBLE, poincare_x DOUBLE, poincare_y DOUBLE,
  knn DOUBLE[66]);
CREATE NODE TABLE IF NOT EXISTS IndexEntry(
  key STRING PRIMARY KEY, vintage STRING, code STRING, text STRING, role STRING, source STRING,
  hash STRING, position INT64);
CREATE NODE TABLE IF NOT EXISTS EmbeddingSet(
  id STRING PRIMARY KEY, vintage STRING, status STRING, created STRING, dims INT64,
  curvature DOUBLE, model_sha256 STRING, data_sha256 STRING, metrics STRING);
CREATE NODE TABLE IF NOT EXISTS Embedding(
  key STRING PRIMARY KEY, `set` STRING, embedding DOUBLE[], radius DOUBLE, poincare_x DOUBLE,
  poincare_y DOUBLE, knn DOUBLE[66]);
CREATE REL TABLE IF NOT EXISTS HAS_CHILD(FROM Industry TO Industry);
CREATE REL TABLE IF NOT EXISTS EXCLUDES(
  FROM Industry TO Industry, key STRING, number INT64, text STRING, clause STRING, hash STRING,
  position INT64);
CREATE REL TABLE IF NOT EXISTS CLASSIFIED_AS(FROM IndexEntry TO Industry);
CREATE REL TABLE IF NOT EXISTS BECAME(FROM Industry TO Industry, key STRING, kind STRING, hash STRING);
CREATE REL TABLE IF NOT EXISTS OF(FROM Embedding TO Industry);
