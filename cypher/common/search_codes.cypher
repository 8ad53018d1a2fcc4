// All codes of a vintage, in code order.
// Parameters: $vintage, e.g. '2022'.
MATCH (n:Industry {vintage: $vintage})
WHERE NOT n.missing
RETURN n.code AS code
ORDER BY code;
