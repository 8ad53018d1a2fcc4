"""The graph where it lies: PyTorch Geometric's backends over a database, and a sampler in Cypher.

Of the graph only the nodes' keys and places are kept, so used by itself this is for graphs whose
edges do not fit in memory; `train` exports the whole graph whichever sampler draws. Every batch
costs one query per relation and hop. Nothing here holds a password: a copy in another process
connects with the credentials of its own environment.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.refine.draw import SHIFT, Ints, Polynomial, ranks
from naics_graph.refine.entry_points import Encode, EntryPoints
from naics_graph.refine.graph import (
    ENTRY,
    FORWARD,
    INDUSTRY,
    node_counts,
    places,
    require_current,
    reverse,
)
from naics_graph.refine.pyg import EdgeAttr, FeatureStore, GraphStore, TensorAttr
from naics_graph.refine.sampler import Drawn, Hidden, LeaveOneOut, NeighbourSampler
from naics_graph.store import contract
from naics_graph.store.contract import GraphNodes, Relation, Row
from naics_graph.store.sets import embedding_key, no_such_set
from naics_graph.taxonomy.model import key_of, level_of

ALL: Final = 2**31 - 1
"""More neighbours than any node has."""
SPARE: Final = 8
"""Neighbours asked for beyond the fan-out where some may be hidden."""


class Reconnecting:
    """A store that a process forked from this one opens anew: connections do not survive a fork."""

    def __init__(self, store: contract.GraphStore) -> None:
        self._store, self._process = store, os.getpid()
        self._inherited: contract.GraphStore | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Reconnecting, (self._store,)

    @property
    def store(self) -> contract.GraphStore:
        """The store of this process."""
        if self._process != os.getpid():
            # Kept: closing it here would say goodbye to the server on the parent's connection.
            self._inherited = self._store
            self._store, self._process = copy.copy(self._store), os.getpid()
        return self._store


class DatabaseGraph(GraphStore):  # type: ignore[misc]
    """Typed edges of a loaded vintage for PyG's loaders, read when they are asked for.

    Args:
        store: the database; it stays the caller's to close.
        nodes: `store.graph_nodes(vintage)`, or an export whose entries may be fewer.
    """

    def __init__(self, store: contract.GraphStore, nodes: GraphNodes) -> None:
        super().__init__()
        self._reconnecting = Reconnecting(store)
        self.nodes = contract.GraphNodes(
            nodes.vintage,
            nodes.version,
            nodes.codes,
            nodes.entries,
            nodes.code_place,
            nodes.entry_place,
        )
        self.place = places(nodes)
        self._number = {t: _numbers(place) for t, place in self.place.items()}

    @property
    def store(self) -> contract.GraphStore:
        """The database, connected in this process."""
        return self._reconnecting.store

    def require_current(self) -> None:
        """Check that the database still holds what the nodes were read from.

        Raises:
            DatabaseError: the vintage was loaded anew since.
        """
        require_current(self.nodes, self.store)

    def keys(self, node_type: str, numbers: Ints) -> list[str]:
        """The database's keys of nodes."""
        if node_type == ENTRY:
            return [self.nodes.entries[i] for i in numbers.tolist()]
        return [key_of(self.nodes.vintage, self.nodes.codes[i]) for i in numbers.tolist()]

    def numbers(self, node_type: str, place: Ints) -> Ints:
        """Node numbers by place; -1 for nodes that are not of this graph."""
        known = self._number[node_type]
        inside = np.minimum(place, len(known) - 1)
        return np.where(place < len(known), known[inside], -1)

    def _put_edge_index(self, edge_index: Any, edge_attr: EdgeAttr) -> bool:
        raise NotImplementedError("edges of the database change by `load` alone")

    def _remove_edge_index(self, edge_attr: EdgeAttr) -> bool:
        raise NotImplementedError("edges of the database change by `load` alone")

    def _get_edge_index(self, edge_attr: EdgeAttr) -> tuple[Tensor, Tensor] | None:
        known = {a.edge_type: a for a in self.get_all_edge_attrs()}.get(edge_attr.edge_type)
        if known is None or edge_attr.layout != known.layout:
            return None
        backwards = edge_attr.edge_type[1].startswith("rev_")
        relation = forward(edge_attr.edge_type)
        edges = torch.from_numpy(self.store.graph_edges(self.nodes, relation))
        self.require_current()
        return (edges[1], edges[0]) if backwards else (edges[0], edges[1])

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        """One attribute per relation and its reverse, in COO."""
        counts = node_counts(self.nodes)
        return [
            EdgeAttr(r, "coo", size=(counts[r[0]], counts[r[2]]))
            for relation in FORWARD
            for r in (relation, reverse(relation))
        ]


class DatabaseFeatures(FeatureStore):  # type: ignore[misc]
    """Features of a loaded vintage for PyG's loaders, read or made when they are asked for.

    Of codes `x` (n, d+1), their points in a stored embedding set, and `depth` (n,), 1-5. Of entries
    `x` (m, d+1), made of their texts: the database holds no points of entries, and without
    `entries` they have no `x`.

    Args:
        graph: where the nodes and the database come from.
        set_id: the set.
        entries: (k, d+1) points of k texts in the space of the set, as `Artifact.encode` of the
            model it was published with. The last 65,536 points are kept.

    Raises:
        DatabaseError: there is no such set.
    """

    def __init__(self, graph: DatabaseGraph, set_id: str, *, entries: Encode | None = None) -> None:
        super().__init__()
        self._graph, self._id = graph, set_id
        found = [s for s in graph.store.embedding_sets() if s.id == set_id]
        if not found:
            raise no_such_set(set_id, graph.store.location)
        codes, width = len(graph.nodes.codes), found[0].dims + 1
        self._size: dict[tuple[str, str], tuple[int, ...]] = {
            (INDUSTRY, "x"): (codes, width),
            (INDUSTRY, "depth"): (codes,),
        }
        self._entries: EntryPoints | None = None
        if entries is not None:
            self._size[ENTRY, "x"] = (len(graph.nodes.entries), width)
            self._entries = EntryPoints(graph, entries, width)

    def _put_tensor(self, tensor: Tensor, attr: TensorAttr) -> bool:
        raise NotImplementedError("points of the database change by `publish` alone")

    def _remove_tensor(self, attr: TensorAttr) -> bool:
        raise NotImplementedError("points of the database change by `publish` alone")

    def _get_tensor(self, attr: TensorAttr) -> Tensor:
        size = self._get_tensor_size(attr)
        if size is None:
            known = ", ".join(f"{name!r} of {group!r}" for group, name in self._size)
            raise KeyError(f"{attr} is not in the database, which has {known}")
        rows = torch.arange(size[0])
        if attr.index is not None:
            rows = rows[attr.index]
        wanted, where = torch.unique(rows, return_inverse=True)
        return torch.from_numpy(self._rows(attr, wanted.tolist()))[where]

    def _rows(self, attr: TensorAttr, numbers: list[int]) -> NDArray[Any]:
        if attr.group_name == ENTRY and self._entries is not None:
            return self._entries(numbers)
        codes = [self._graph.nodes.codes[i] for i in numbers]
        if attr.attr_name == "depth":
            return np.array([level_of(code) - 1 for code in codes], dtype=np.int64)
        keys = [embedding_key(self._id, self._graph.nodes.vintage, code) for code in codes]
        found = self._graph.store.run("sample_points", keys=keys)
        points = {row["key"]: row["embedding"] for row in found}
        values = np.array([points[key] for key in keys], dtype=np.float64)
        return values.reshape(-1, self._size[INDUSTRY, "x"][1])

    def _get_tensor_size(self, attr: TensorAttr) -> tuple[int, ...] | None:
        return self._size.get((attr.group_name, attr.attr_name))

    def get_all_tensor_attrs(self) -> list[TensorAttr]:
        """Points and depth of codes, and points of entries if texts can be encoded."""
        return [self._tensor_attr_cls(group, name) for group, name in self._size]


class DatabaseSampler(NeighbourSampler):
    """Draws in Cypher, the same subgraphs as `SubgraphSampler` from the same nodes and seed."""

    def __init__(
        self,
        graph: DatabaseGraph,
        fan_out: Sequence[int],
        *,
        seed: int,
        around: Tensor | None = None,
        leave_out: LeaveOneOut | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            graph, fan_out, seed=seed, around=around, leave_out=leave_out, dropout=dropout
        )
        self.graph = graph

    def _sampled(self) -> None:
        self.graph.require_current()

    def _drawn(
        self, relation: Relation, frontier: Ints, count: int, hidden: Hidden | None, by: Polynomial
    ) -> Drawn:
        found: list[tuple[Ints, Ints]] = []
        asked = ALL if count < 0 else count if hidden is None else count + SPARE
        waiting = frontier
        while len(waiting):
            rows = self._ask(relation, waiting, asked, by)
            source, target, full = self._known(relation, rows, asked)
            if hidden is not None:
                kept = hidden.kept(relation, source, target)
                if kept is not None:
                    source, target = source[kept], target[kept]
            rank = ranks(target)
            # Cut off by what was asked before the fan-out was filled: ask these for more.
            enough = target[rank == count - 1] if count > 0 else full
            waiting = np.setdiff1d(full, enough)
            done = ~np.isin(target, waiting)
            if count > 0:
                done &= rank < count
            found.append((source[done], target[done]))
            asked *= 4
        return self._in_order(relation, frontier, found)

    def _ask(self, relation: Relation, listeners: Ints, count: int, by: Polynomial) -> list[Row]:
        keys = self.graph.keys(relation[2], listeners)
        return self.graph.store.run(
            f"sample_{relation[1]}", listeners=keys, count=min(count, ALL), **by._asdict()
        )

    def _known(self, relation: Relation, rows: list[Row], asked: int) -> tuple[Ints, Ints, Ints]:
        """Speakers and listeners (e,) that are of this graph, in order of the draw for each
        listener, and the listeners that may have more than was asked.
        """
        place = np.array([row["listener"] for row in rows], dtype=np.int64)
        listener = self.graph.numbers(relation[2], place)
        length = np.array([len(row["drawn"]) for row in rows], dtype=np.int64)
        edge = np.fromiter(
            chain.from_iterable(row["drawn"] for row in rows), np.int64, int(length.sum())
        )
        source = self.graph.numbers(relation[0], edge & ((1 << SHIFT) - 1))
        known = source >= 0
        return source[known], np.repeat(listener, length)[known], listener[length == asked]

    def _in_order(
        self, relation: Relation, frontier: Ints, found: list[tuple[Ints, Ints]]
    ) -> Drawn:
        none = np.empty(0, dtype=np.int64)
        source, target = (np.concatenate([none, *column]) for column in zip(*found, strict=True))
        rank = np.empty(self.counts[relation[2]], dtype=np.int64)
        rank[frontier] = np.arange(len(frontier))
        order = np.lexsort((self.graph.place[relation[0]][source], rank[target]))
        return Drawn(source[order], target[order], None)


def forward(relation: Relation) -> Relation:
    """The relation as the database has it: itself, or what it is the reverse of."""
    return next(r for r in FORWARD if relation in (r, reverse(r)))


def _numbers(place: Ints) -> Ints:
    """The inverse of distinct places: numbers by place, -1 where there is none."""
    numbers = np.full(int(place.max(initial=-1)) + 1, -1, dtype=np.int64)
    numbers[place] = np.arange(len(place))
    return numbers
