"""Cypher is data: every query is a named file of `cypher/`, the dialect's folder first."""

from __future__ import annotations

import difflib
import importlib.resources
from functools import cache
from importlib.resources.abc import Traversable

from naics_graph.errors import DatabaseError

SUFFIX = ".cypher"
COMMON = "common"


@cache
def load_query(dialect: str, name: str) -> str:
    """The text of `cypher/<dialect>/<name>.cypher`, or of `cypher/common/<name>.cypher`.

    Raises:
        DatabaseError: neither folder has it; the message names the nearest.
    """
    files = query_files(dialect)
    if name not in files:
        near = difflib.get_close_matches(name, files, n=3, cutoff=0.4)
        raise DatabaseError(
            f"there is no query {name!r}",
            where=f"cypher/{dialect} and cypher/{COMMON}",
            do=f"the nearest: {', '.join(near)}" if near else f"there are: {', '.join(files)}",
        )
    return files[name].read_text(encoding="utf-8")


@cache
def query_files(dialect: str) -> dict[str, Traversable]:
    """The query files a dialect sees, by name and in order of name."""
    found: dict[str, Traversable] = {}
    for folder in (COMMON, dialect):
        found |= {file.name.removesuffix(SUFFIX): file for file in cypher_files(folder)}
    return dict(sorted(found.items()))


def cypher_files(*folder: str) -> list[Traversable]:
    """The `.cypher` files of one folder of `cypher/`, in order of name; [] without the folder."""
    # Not joined onto files("naics_graph"): that fails in an editable install.
    directory = importlib.resources.files("naics_graph.cypher").joinpath(*folder)
    if not directory.is_dir():
        return []
    files = (file for file in directory.iterdir() if file.name.endswith(SUFFIX))
    return sorted(files, key=lambda file: file.name)


def statements(text: str) -> list[str]:
    """The statements of a file: split at semicolons that end a line, comment lines dropped."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
    parts = "\n".join(line.rstrip() for line in lines).replace(";\n", ";\0").split("\0")
    return [part.strip().removesuffix(";") for part in parts if part.strip(" \n;")]
