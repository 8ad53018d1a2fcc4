"""Which store a database name means: a file is embedded, a URI is a Neo4j server."""

from __future__ import annotations

from pathlib import Path

from naics_graph.errors import UsageError
from naics_graph.settings import NEO4J_SCHEMES
from naics_graph.store.contract import GraphStore


def open_store(database: str, *, read_only: bool = False) -> GraphStore:
    """Open a database.

    Args:
        database: a file (`~` is the home folder), or a `neo4j://` or `bolt://` (`+s`, `+ssc`) URI.
        read_only: refuse to write; a file must then exist.

    Raises:
        UsageError: the name is empty, or a URI of another scheme.
        DatabaseError: the database is absent, locked, or refuses us.
    """
    scheme, separator, _ = database.partition("://")
    if separator and scheme.lower() in NEO4J_SCHEMES:
        from naics_graph.store.neo4j import Neo4jStore

        return Neo4jStore(database, read_only=read_only)
    if separator or not database.strip():
        raise UsageError(
            f"{database!r} is no database",
            where="--database",
            do="give a file, or a URI that starts with one of "
            + ", ".join(f"{known}://" for known in NEO4J_SCHEMES),
        )
    from naics_graph.store.ladybug import LadybugStore

    return LadybugStore(Path(database).expanduser(), read_only=read_only)
