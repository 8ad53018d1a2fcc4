// All index entries of a vintage, those of the validation role among them. Parameters: $vintage.
MATCH (n:IndexEntry {vintage: $vintage})
RETURN n.key AS key, n.text AS text, n.code AS code, n.source AS source, n.role AS role,
       n.position AS position;
