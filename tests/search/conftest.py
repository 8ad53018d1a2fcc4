"""Both databases, each with two vintages and their published sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from naics_graph.store.contract import GraphStore
from naics_graph.store.neo4j import Neo4jStore
from naics_graph.store.open import open_store
from tests.neo4j_server import empty
from tests.search.world import World, make_world


@pytest.fixture(scope="session")
def worlds() -> dict[str, World]:
    """By vintage; 2022 is the newest."""
    return {
        "2017": make_world("2017", seed=1, curvature=2.0),
        "2022": make_world("2022", seed=2, curvature=0.5),
    }


@pytest.fixture(scope="session")
def world(worlds: dict[str, World]) -> World:
    """The newest vintage."""
    return worlds["2022"]


@pytest.fixture(scope="session")
def world_file(worlds: dict[str, World], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A closed embedded database."""
    path = str(tmp_path_factory.mktemp("search") / "world.lbug")
    with open_store(path) as store:
        fill(store, worlds)
    return path


@pytest.fixture(scope="module", params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store(request: pytest.FixtureRequest, worlds: dict[str, World]) -> Iterator[GraphStore]:
    """An open store that holds both worlds, on either database."""
    if request.param == "ladybug":
        with open_store(request.getfixturevalue("world_file"), read_only=True) as opened:
            yield opened
        return
    server = request.getfixturevalue("neo4j_server")
    empty(server)
    with Neo4jStore(server.uri, server.auth) as opened:
        fill(opened, worlds)
        yield opened


def fill(store: GraphStore, worlds: dict[str, World]) -> None:
    """Load and publish both worlds."""
    store.migrate()
    for one in worlds.values():
        store.load(one.taxonomy)
        store.publish(one.info, one.rows)
