// What paths are made of: every code of a vintage with its parent and title. Parameters: $vintage.
MATCH (n:Industry)
WHERE n.vintage = $vintage
RETURN n.code AS code, n.parent AS parent, n.title AS title;
