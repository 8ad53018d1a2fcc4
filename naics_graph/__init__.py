"""NAICS industry codes: a taxonomy in a graph database, embedded in hyperbolic space."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from naics_graph.handle import Handle

__all__ = ["connect"]


def connect(database: str | None = None) -> Handle:
    """A handle on a database; nothing is opened yet.

    Args:
        database: a file (the embedded database) or a `neo4j://` / `bolt://` URI; None is
            NEO4J_URI, else a file in the user's data folder.
    """
    # Imported here: `import naics_graph` stays light for `naics-graph --help`.
    from naics_graph import handle

    return handle.connect(database)
