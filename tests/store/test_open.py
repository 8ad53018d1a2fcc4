"""Names of databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from naics_graph.errors import DatabaseError, UsageError
from naics_graph.store.ladybug import LadybugStore
from naics_graph.store.open import open_store


def test_a_file_opens_the_embedded_database(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "x.lbug")) as store:
        assert isinstance(store, LadybugStore)
        assert store.dialect == "ladybug"


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_store("~/x.lbug") as store:
        assert store.location == str(tmp_path.resolve() / "x.lbug")


@pytest.mark.parametrize("name", ["http://host", "sqlite:///x", "neo4j+x://host", "", "  "])
def test_other_schemes_and_nothing_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is no database[^§]*neo4j://[^§]*bolt\+ssc://"):
        open_store(name)


@pytest.mark.parametrize("scheme", ["neo4j", "bolt"])
def test_a_uri_opens_neo4j_which_must_be_there(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "not-the-password")
    with pytest.raises(DatabaseError) as caught:
        open_store(f"{scheme}://127.0.0.1:1")
    assert "not-the-password" not in str(caught.value)
