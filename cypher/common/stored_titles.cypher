// Titles of the codes of all other vintages.
// Parameters: $vintage.
MATCH (n:Industry)
WHERE n.vintage <> $vintage AND NOT n.missing
RETURN n.vintage AS vintage, n.code AS code, n.title AS title;
