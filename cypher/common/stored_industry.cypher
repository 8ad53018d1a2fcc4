// What the database holds of the codes of a vintage; a code marked missing has the hash ''.
// Parameters: $vintage.
MATCH (n:Industry {vintage: $vintage})
RETURN n.key AS key, CASE WHEN n.missing THEN '' ELSE n.hash END AS hash, n.position AS position;
