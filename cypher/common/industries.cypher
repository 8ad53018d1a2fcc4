// The codes of a vintage with their own texts. Parameters: $vintage.
MATCH (n:Industry {vintage: $vintage})
WHERE NOT n.missing
RETURN n.code AS code, n.parent AS parent, n.title AS title, n.description AS description,
       n.examples AS examples, n.excluded AS excluded, n.described_by AS described_by,
       n.position AS position;
