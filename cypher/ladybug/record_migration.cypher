// Record a migration as applied. Parameters: $name, $applied (UTC, ISO 8601).
MERGE (m:Migration {name: $name}) SET m.applied = $applied;
