// What was loaded. Parameters: $row, see naics_graph.store.rows.vintage_row.
MATCH (v:Vintage {vintage: $row.vintage})
SET v += $row;
