"""Queries in the dialect of Neo4j."""
