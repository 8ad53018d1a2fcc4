"""What tests of several parts share: the official workbooks, the split, and what is read of them.

They lie beside the repository. Without them the tests that need them are skipped, and say so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.sources import read_taxonomy

pytest_plugins = ("tests.neo4j_server",)

SHARED = Path(__file__).parents[2] / "shared"
NEEDS_WORKBOOKS = frozenset(
    {"census_dir", "roles_file", "taxonomy_2017", "taxonomy_2022", "taxonomy_2022_roles"}
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark with `census` whatever asks for the workbooks or the split, and share the tests out.

    Of parallel processes one runs all that asks for Neo4j, so that there is one server; else the
    tests of a file stay together, for they share fixtures. What takes long begins first.
    """
    groups: dict[pytest.Item, str] = {}
    for item in items:
        if NEEDS_WORKBOOKS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.census)
        file = item.nodeid.partition("::")[0]
        groups[item] = "neo4j" if item.get_closest_marker("neo4j") else file
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    slow = {groups[item] for item in items if item.get_closest_marker("slow")} | {"neo4j"}
    items.sort(key=lambda item: groups[item] not in slow)


def _shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"NOT TESTED: the official data is not at ../shared/{'/'.join(parts)}")
    return path


@pytest.fixture(scope="session")
def census_dir() -> Path:
    """The folder with the official workbooks, one subfolder per vintage (2017, 2022)."""
    return _shared("naics")


@pytest.fixture(scope="session")
def roles_file() -> Path:
    """The frozen split of the index entries of 2022."""
    return _shared("eval", "index_roles.csv")


@pytest.fixture(scope="session")
def taxonomy_2017(census_dir: Path) -> Taxonomy:
    """NAICS 2017 from the workbooks, every entry, without roles."""
    return read_taxonomy(census_dir, "2017", None, "census")


@pytest.fixture(scope="session")
def taxonomy_2022(census_dir: Path) -> Taxonomy:
    """NAICS 2022 from the workbooks, every entry, without roles."""
    return read_taxonomy(census_dir, "2022", None, "census")


@pytest.fixture(scope="session")
def taxonomy_2022_roles(census_dir: Path, roles_file: Path) -> Taxonomy:
    """NAICS 2022 from the workbooks with the frozen split applied."""
    return read_taxonomy(census_dir, "2022", roles_file, "census")
