"""The hybrid queries shipped in `cypher/` as `q_NAME.cypher`: for a browser or the command line.

The comment at the head of each file is its documentation and its interface:

    // Purpose, one sentence, maybe on several lines.
    // Dialect: Neo4j 5.26 and newer
    // :param vintage => '2022';
    // :param limit => 10;

The `:param` lines are pasted into Neo4j Browser without their slashes; their values are the
samples, the defaults and the types of the parameters.
"""

from __future__ import annotations

import difflib
import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from naics_graph.errors import UsageError
from naics_graph.store.contract import GraphStore, Row

DIALECTS: Final = ("neo4j", "ladybug")
_PREFIX: Final = "q_"
_PARAMETER: Final = re.compile(r":param (\w+) => (.+);")

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class HybridQuery:
    """One shipped query. `text` is the whole file, header included; `parameters` sample values."""

    name: str
    folder: str
    purpose: str
    dialect: str
    parameters: Mapping[str, Value]
    text: str

    @property
    def summary(self) -> str:
        """The first sentence of the purpose."""
        return self.purpose.split(". ")[0].rstrip(".") + "."

    @property
    def body(self) -> str:
        """The statement without its header."""
        lines = self.text.splitlines()
        start = next(i for i, line in enumerate(lines) if not line.startswith("//"))
        return "\n".join(lines[start:])


def hybrid_queries(dialect: str) -> dict[str, HybridQuery]:
    """All hybrid queries of a dialect by name; its own folder takes precedence over `common`."""
    found = {query.name: query for query in _in_folder("common")}
    found |= {query.name: query for query in _in_folder(dialect)}
    return dict(sorted(found.items()))


def hybrid_query(dialect: str, name: str) -> HybridQuery:
    """One hybrid query.

    Raises:
        UsageError: there is none of this name; the message names the nearest.
    """
    queries = hybrid_queries(dialect)
    if name not in queries:
        near = difflib.get_close_matches(name, queries, n=1, cutoff=0.0)
        raise UsageError(
            f"there is no query {name!r}",
            where=f"cypher/{dialect}",
            do=f"the nearest is {near[0]}; `naics-graph query --list` shows all",
        )
    return queries[name]


def run_hybrid(store: GraphStore, name: str, parameters: Mapping[str, Value]) -> list[Row]:
    """Run a hybrid query read-only; every parameter it declares must be given.

    Raises:
        UsageError: an unknown query.
        DatabaseError: the database refuses it.
    """
    query = hybrid_query(store.dialect, name)
    return store.run(_PREFIX + query.name, **parameters)


def bind(
    query: HybridQuery, assignments: Sequence[str], defaults: Mapping[str, Value] | None = None
) -> dict[str, Value]:
    """Parameters of a query from `key=value` texts, over `defaults`, over its sample values.

    A value takes the type of the sample: `code=541511` stays a string, `limit=5` is a number.

    Raises:
        UsageError: no `=`, an unknown key, or a value of another type.
    """
    known = {k: v for k, v in (defaults or {}).items() if k in query.parameters}
    values: dict[str, Value] = {**query.parameters, **known}
    for assignment in assignments:
        key, separator, raw = assignment.partition("=")
        key = key.strip()
        if not separator or key not in query.parameters:
            near = difflib.get_close_matches(key, query.parameters, n=1, cutoff=0.0)
            raise UsageError(
                f"{assignment!r} sets no parameter of {query.name}",
                where="--param",
                do=f"write e.g. {near[0]}={query.parameters[near[0]]}"
                if near
                else f"{query.name} takes no parameters",
            )
        values[key] = _typed(key, raw.strip(), query.parameters[key])
    return values


def _typed(key: str, raw: str, sample: Value) -> Value:
    if isinstance(sample, str):
        return raw
    try:
        value = json.loads(raw)
    except json.JSONDecodeError:
        value = raw
    if isinstance(sample, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(sample):
        raise UsageError(
            f"{key} is {raw!r}, not a {type(sample).__name__}",
            where="--param",
            do=f"write e.g. {key}={json.dumps(sample)}",
        )
    return sample.__class__(value)


def _in_folder(folder: str) -> list[HybridQuery]:
    files = importlib.resources.files("naics_graph.cypher").joinpath(folder).iterdir()
    return [
        parse(
            file.name.removeprefix(_PREFIX).removesuffix(".cypher"), folder, file.read_text("utf-8")
        )
        for file in files
        if file.name.startswith(_PREFIX) and file.name.endswith(".cypher")
    ]


def parse(name: str, folder: str, text: str) -> HybridQuery:
    """Read the header of a query file.

    Raises:
        ValueError: it has no purpose, no dialect, or a parameter line that cannot be read.
    """
    purpose: list[str] = []
    dialect = ""
    parameters: dict[str, Value] = {}
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        content = line.removeprefix("//").strip()
        if content.startswith(":param"):
            match = _PARAMETER.fullmatch(content)
            if match is None:
                raise ValueError(f"{folder}/q_{name}.cypher: {content!r} is no parameter line")
            parameters[match[1]] = json.loads(match[2].replace("'", '"'))
        elif content.startswith("Dialect:"):
            dialect = content.removeprefix("Dialect:").strip()
        elif content:
            purpose.append(content)
    if not purpose or not dialect:
        raise ValueError(f"{folder}/q_{name}.cypher: the header lacks a purpose or a dialect")
    return HybridQuery(name, folder, " ".join(purpose), dialect, parameters, text)
