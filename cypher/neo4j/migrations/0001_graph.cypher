// Keys, and the look-ups of every query. Community edition: uniqueness is the only constraint it has.
CREATE CONSTRAINT migration_name IF NOT EXISTS FOR (n:Migration) REQUIRE n.name IS UNIQUE;
CREATE CONSTRAINT vintage_vintage IF NOT EXISTS FOR (n:Vintage) REQUIRE n.vintage IS UNIQUE;
CREATE CONSTRAINT industry_key IF NOT EXISTS FOR (n:Industry) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT index_entry_key IF NOT EXISTS FOR (n:IndexEntry) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT embedding_set_id IF NOT EXISTS FOR (n:EmbeddingSet) REQUIRE n.id IS UNIQUE;
CREATE CONSTRAINT embedding_key IF NOT EXISTS FOR (n:Embedding) REQUIRE n.key IS UNIQUE;
CREATE INDEX industry_vintage_code IF NOT EXISTS FOR (n:Industry) ON (n.vintage, n.code);
CREATE INDEX industry_vintage_level IF NOT EXISTS FOR (n:Industry) ON (n.vintage, n.level);
CREATE INDEX index_entry_vintage IF NOT EXISTS FOR (n:IndexEntry) ON (n.vintage);
CREATE INDEX embedding_set IF NOT EXISTS FOR (n:Embedding) ON (n.set);
