// Links between vintages that vanished. Parameters: $keys.
MATCH (:Industry)-[r:BECAME]->(:Industry)
WHERE r.key IN $keys
DELETE r;
