// The own texts of some codes: title and illustrative examples.
// Parameters: $keys, e.g. ['2022:541511', '2022:812910'].
MATCH (n:Industry)
WHERE n.key IN $keys
RETURN n.code AS code, n.title AS title, n.examples AS examples
ORDER BY code;
