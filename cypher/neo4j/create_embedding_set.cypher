// Parameters: $row, see naics_graph.store.sets.set_row.
CREATE (s:EmbeddingSet)
SET s = $row;
