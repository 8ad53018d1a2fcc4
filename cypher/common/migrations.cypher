// The migrations recorded here, in order.
MATCH (m:Migration)
RETURN m.name AS name
ORDER BY name;
