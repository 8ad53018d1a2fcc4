// Parameters: $name.
MERGE (m:Migration {name: $name})
ON CREATE SET m.applied = toString(datetime());
