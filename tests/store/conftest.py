"""One empty store of each kind, so that the laws hold on both."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from naics_graph.store.contract import GraphStore
from naics_graph.store.open import open_store


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GraphStore]:
    """An empty store, open for writing."""
    if request.param == "neo4j":
        with request.getfixturevalue("neo4j_store") as opened:
            yield opened
        return
    with open_store(str(tmp_path / "laws.lbug")) as opened:
        yield opened


@pytest.fixture
def another(store: GraphStore) -> Iterator[GraphStore]:
    """A second store on the same database, with connections of its own."""
    with copy.copy(store) as opened:
        yield opened


@pytest.fixture
def raw_write(store: GraphStore) -> Callable[[str], None]:
    """Run a write statement past the store, as another program would."""

    def write(statement: str) -> None:
        if store.dialect == "neo4j":
            connection: Any = store.__dict__["_connection"]
            connection.schema(statement)
            return
        write_ladybug(Path(store.location), statement)

    return write


def write_ladybug(path: Path, *queries: str) -> None:
    """Write to an embedded database with ladybug itself."""
    import ladybug

    database = ladybug.Database(str(path), max_db_size=1 << 34, buffer_pool_size=1 << 28)
    connection = ladybug.Connection(database)
    for query in queries:
        connection.execute(query)
    connection.close()
    database.close()
