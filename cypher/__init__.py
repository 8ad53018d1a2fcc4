"""Every query as a named .cypher file."""
