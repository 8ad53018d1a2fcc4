"""A database and settings on which `train` takes seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import Taxonomy
from tests.encode.tiny import write_tiny_model
from tests.search.world import make_world

LETTERS = str.maketrans("0123456789", "kbcdefghij")


def tiny_database(folder: Path, *, roles: bool = True) -> str:
    """A loaded database in a folder, and beside it the transformer that `tiny_settings` names."""
    write_tiny_model(folder / "model")
    database = str(folder / "tiny.lbug")
    taxonomy = spelled(make_world("2022", seed=1, curvature=1.0).taxonomy)
    if not roles:
        taxonomy = without_roles(taxonomy)
    with open_store(database) as store:
        store.load(taxonomy)
    return database


@contextmanager
def tiny_home(factory: pytest.TempPathFactory, *, roles: bool = True) -> Iterator[Path]:
    """A folder with a `tiny_database`, whose `data` is where runs go for as long as it is open."""
    folder = factory.mktemp("home")
    tiny_database(folder, roles=roles)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAICS_GRAPH_HOME", str(folder / "data"))
        yield folder


def tiny_settings(folder: Path) -> list[str]:
    """A short training of a small map."""
    return [
        f"backbone.name={folder / 'model'}",
        "contrast.epochs=2",
        "contrast.map.dim=8",
        "contrast.map.width=32",
    ]


def without_roles(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy as a load without a split gives it."""
    entries = tuple(dataclasses.replace(entry, role=None) for entry in taxonomy.entries)
    return dataclasses.replace(taxonomy, entries=entries)


def spelled(taxonomy: Taxonomy) -> Taxonomy:
    """Digits as letters, which the tiny model can read: equal texts would lie in one place, where
    distances have no gradient but rounding.
    """
    industries = tuple(
        dataclasses.replace(
            i,
            title=i.title.translate(LETTERS),
            description=i.description.translate(LETTERS),
            examples=tuple(e.translate(LETTERS) for e in i.examples),
        )
        for i in taxonomy.industries
    )
    entries = tuple(
        dataclasses.replace(e, text=e.text.translate(LETTERS)) for e in taxonomy.entries
    )
    return dataclasses.replace(taxonomy, industries=industries, entries=entries)
