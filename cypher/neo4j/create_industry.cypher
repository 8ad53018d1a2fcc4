// New codes, labelled by level. Parameters: $rows, see naics_graph.store.rows.
UNWIND $rows AS row
CREATE (n:Industry)
SET n = row
FOREACH (_ IN CASE row.level WHEN 2 THEN [1] ELSE [] END | SET n:Sector)
FOREACH (_ IN CASE row.level WHEN 3 THEN [1] ELSE [] END | SET n:Subsector)
FOREACH (_ IN CASE row.level WHEN 4 THEN [1] ELSE [] END | SET n:IndustryGroup)
FOREACH (_ IN CASE row.level WHEN 5 THEN [1] ELSE [] END | SET n:NaicsIndustry)
FOREACH (_ IN CASE row.level WHEN 6 THEN [1] ELSE [] END | SET n:NationalIndustry);
