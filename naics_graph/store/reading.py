"""What both stores read alike: named queries of `cypher/common` put together as values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from naics_graph.store import rows as rows_of
from naics_graph.store import sets
from naics_graph.store.contract import (
    EmbeddingSetInfo,
    GraphExport,
    GraphNodes,
    GraphStore,
    Relation,
    Row,
)
from naics_graph.store.plan import LoadPlan, Stored, plan_load
from naics_graph.store.rows import GROUPS, Group
from naics_graph.taxonomy.model import Taxonomy

T = TypeVar("T")
COUNTED: Final = ("Industry", "IndexEntry", "EmbeddingSet", "Embedding", *GROUPS[2:], "OF")
"""What `counts` counts: nodes by label, relationships by type."""
EXPORTED: Final[tuple[Relation, ...]] = (
    ("industry", "has_child", "industry"),
    ("industry", "excludes", "industry"),
    ("entry", "classified_as", "industry"),
)
"""The relations a graph network reads."""


class ReadingStore(GraphStore):
    """A store whose reads are the same named queries."""

    @abstractmethod
    def _steady(self, vintage: str, read: Callable[[Row], T]) -> T:
        """`read(vintage node)`, all of whose queries see the vintage as it was at one moment.

        Raises:
            DatabaseError: the vintage is not loaded.
        """

    def migrations(self) -> list[str]:
        return [row["name"] for row in self.run("migrations")]

    def vintages(self) -> list[str]:
        return [row["vintage"] for row in self.run("vintages")]

    def taxonomy(self, vintage: str | None = None) -> Taxonomy:
        def read(node: Row) -> Taxonomy:
            names = ("industries", "exclusions", "index_entries")
            parts = (self.run(name, vintage=node["vintage"]) for name in names)
            return rows_of.taxonomy_of(node, *parts)

        return self._steady(vintage or self._newest(), read)

    def export_graph(self, vintage: str) -> GraphExport:
        def read(node: Row) -> GraphExport:
            nodes = self._nodes(node)
            edges = {relation: self.graph_edges(nodes, relation) for relation in EXPORTED}
            return rows_of.with_edges(nodes, edges)

        return self._steady(vintage, read)

    def graph_nodes(self, vintage: str) -> GraphNodes:
        return self._steady(vintage, self._nodes)

    def _nodes(self, node: Row) -> GraphNodes:
        codes, entries = (
            self.run(name, vintage=node["vintage"])[0]
            for name in ("export_codes", "export_entries")
        )
        return rows_of.graph_nodes(node, codes, entries)

    def graph_edges(self, nodes: GraphNodes, relation: Relation) -> NDArray[np.int64]:
        pairs = self.run(f"export_{relation[1]}", vintage=nodes.vintage)[0]
        return rows_of.graph_edges(nodes, relation, pairs)

    def graph_version(self, vintage: str) -> str:
        return str(self._vintage(vintage)["version"])

    def embedding_sets(self) -> list[EmbeddingSetInfo]:
        return [sets.set_info(row) for row in self.run("embedding_sets")]

    def read_set(self, set_id: str) -> tuple[list[str], NDArray[np.float64]]:
        found = self.run("embeddings", id=set_id)
        if not found:
            raise sets.no_such_set(set_id, self.location)
        points = np.array([row["embedding"] for row in found], dtype=np.float64)
        return [row["code"] for row in found], points

    def counts(self) -> dict[str, int]:
        # A database may leave out a row whose count is zero.
        return dict.fromkeys(COUNTED, 0) | {r["name"]: r["number"] for r in self.run("counts")}

    def _newest(self) -> str:
        loaded = self.vintages()
        if not loaded:
            raise sets.not_loaded(None, loaded, self.location)
        return loaded[-1]

    def _vintage(self, vintage: str) -> Row:
        found = self.run("vintage", vintage=vintage)
        if not found:
            raise sets.not_loaded(vintage, self.vintages(), self.location)
        return found[0]


def read_plan(taxonomy: Taxonomy, query: Callable[..., list[Row]], version: str | None) -> LoadPlan:
    """What a load of `taxonomy` would change.

    Args:
        taxonomy: what to load.
        query: runs a named query with parameters, all on one state of the database.
        version: the stored version of the vintage; None: it is not loaded.
    """
    vintage = taxonomy.vintage
    stored = {
        group: {
            row["key"]: Stored(row["hash"], row["position"])
            for row in query(f"stored_{snake(group)}", vintage=vintage, **_extra(group))
        }
        for group in GROUPS
    }
    others: dict[str, dict[str, str]] = {}
    for row in query("stored_titles", vintage=vintage):
        others.setdefault(row["vintage"], {})[row["code"]] = row["title"]
    return plan_load(taxonomy, stored, version=version, others=others)


def _extra(group: Group) -> dict[str, str]:
    """A relationship without content has no stored hash: the query returns this one."""
    return {"empty_hash": rows_of.NO_CONTENT} if group in ("HAS_CHILD", "CLASSIFIED_AS") else {}


def snake(name: str) -> str:
    """A label or type as the names of queries spell it: IndexEntry is index_entry."""
    return {"Industry": "industry", "IndexEntry": "index_entry"}.get(name, name.lower())
