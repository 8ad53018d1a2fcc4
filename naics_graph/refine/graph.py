"""The exported topology as typed relations, and as PyTorch Geometric's remote backends.

Node types are `industry` and `entry`; a relation points from the node that speaks to the node that
listens. Every relation of the database comes with its reverse, named `rev_...`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping
from itertools import compress
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.errors import DatabaseError
from naics_graph.refine.network import INDUSTRY as INDUSTRY
from naics_graph.refine.pyg import EdgeAttr, FeatureStore, GraphStore, TensorAttr
from naics_graph.store import contract
from naics_graph.store.contract import GraphExport, GraphNodes, Relation

ENTRY: Final = "entry"
HAS_CHILD: Final[Relation] = (INDUSTRY, "has_child", INDUSTRY)
EXCLUDES: Final[Relation] = (INDUSTRY, "excludes", INDUSTRY)
CLASSIFIED_AS: Final[Relation] = (ENTRY, "classified_as", INDUSTRY)
FORWARD: Final = (HAS_CHILD, EXCLUDES, CLASSIFIED_AS)
"""The relations as the database has them."""


def reverse(relation: Relation) -> Relation:
    """The relation read the other way: ("a", "r", "b") -> ("b", "rev_r", "a")."""
    source, name, target = relation
    return target, f"rev_{name}", source


def relations(graph: GraphExport) -> dict[Relation, Tensor]:
    """Edges (2, e) int64 of every relation and its reverse: row 0 speaks, row 1 listens.

    Message flow: `has_child` carries a parent's message down to its children, `rev_has_child` up.
    Exclusions named by several sentences are one edge.
    """
    edges: dict[Relation, Tensor] = {}
    for relation in FORWARD:
        pairs = torch.from_numpy(np.unique(graph.edges[relation].reshape(2, -1), axis=1))
        edges[relation] = pairs
        edges[reverse(relation)] = pairs.flip(0)
    return edges


def node_counts(nodes: GraphNodes) -> dict[str, int]:
    """Number of nodes by type."""
    return {INDUSTRY: len(nodes.codes), ENTRY: len(nodes.entries)}


def places(nodes: GraphNodes) -> dict[str, NDArray[np.int64]]:
    """The place every node has in the database, by type."""
    return {INDUSTRY: nodes.code_place, ENTRY: nodes.entry_place}


def without_entries(graph: GraphExport, kept: Container[str]) -> GraphExport:
    """The export with only the entries in `kept`: others leave with their edges."""
    every = np.ones(len(graph.codes), dtype=np.bool_)
    return _restricted(graph, every, np.array([key in kept for key in graph.entries], dtype=bool))


def of_codes(graph: GraphExport, kept: Container[str]) -> GraphExport:
    """The export of a database that never held codes but those in `kept`, nor their entries."""
    codes = np.array([code in kept for code in graph.codes], dtype=bool)
    entries = np.zeros(len(graph.entries), dtype=np.bool_)
    entry, code = graph.edges[CLASSIFIED_AS]
    entries[entry] = codes[code]
    return _restricted(graph, codes, entries)


def _restricted(
    graph: GraphExport, codes: NDArray[np.bool_], entries: NDArray[np.bool_]
) -> GraphExport:
    """The export with the nodes marked, codes (n,) and entries (m,), and the edges among them."""
    kept = {INDUSTRY: codes, ENTRY: entries}
    number = {node_type: np.cumsum(marked) - 1 for node_type, marked in kept.items()}
    edges = {}
    for relation, (source, target) in graph.edges.items():
        speaker, _, listener = relation
        left = kept[speaker][source] & kept[listener][target]
        edges[relation] = np.stack([number[speaker][source[left]], number[listener][target[left]]])
    return dataclasses.replace(
        graph,
        codes=tuple(compress(graph.codes, codes)),
        entries=tuple(compress(graph.entries, entries)),
        code_place=graph.code_place[codes],
        entry_place=graph.entry_place[entries],
        edges=edges,
    )


def require_current(graph: GraphNodes, store: contract.GraphStore) -> None:
    """Check that the database still holds what was exported.

    Raises:
        DatabaseError: the vintage was loaded anew since.
    """
    version = store.graph_version(graph.vintage)
    if version != graph.version:
        raise DatabaseError(
            f"the graph of {graph.vintage} changed since it was exported "
            f"(version {graph.version}, now {version})",
            where=store.location,
            do="train again on the graph as it is now",
        )


class ExportedGraph(GraphStore):  # type: ignore[misc]
    """Typed edges of one exported graph for PyG's loaders: in memory, heterogeneous, no connection.

    Each relation is kept once, in COO with its size; PyG converts. Nothing in it is secret, so
    workers may receive it pickled.
    """

    def __init__(self, graph: GraphExport) -> None:
        super().__init__()
        self.version = graph.version
        self.place = places(graph)
        self._edges: dict[Relation, tuple[EdgeAttr, tuple[Tensor, Tensor]]] = {}
        counts = node_counts(graph)
        for relation, (row, col) in relations(graph).items():
            size = (counts[relation[0]], counts[relation[2]])
            self.put_edge_index((row, col), edge_type=relation, layout="coo", size=size)

    def _put_edge_index(self, edge_index: tuple[Tensor, Tensor], edge_attr: EdgeAttr) -> bool:
        self._edges[edge_attr.edge_type] = (edge_attr, edge_index)
        return True

    def _get_edge_index(self, edge_attr: EdgeAttr) -> tuple[Tensor, Tensor] | None:
        stored, edge_index = self._edges.get(edge_attr.edge_type, (None, None))
        return edge_index if stored is not None and stored.layout == edge_attr.layout else None

    def _remove_edge_index(self, edge_attr: EdgeAttr) -> bool:
        return self._edges.pop(edge_attr.edge_type, None) is not None

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        """One attribute per relation."""
        return [attr for attr, _ in self._edges.values()]


class PointFeatures(FeatureStore):  # type: ignore[misc]
    """Points `x` (n, d+1) of every node type for PyG's loaders."""

    def __init__(self, points: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._tensors: dict[tuple[str, str], Tensor] = {}
        for node_type, tensor in points.items():
            self.put_tensor(tensor, group_name=node_type, attr_name="x", index=None)

    def _put_tensor(self, tensor: Tensor, attr: TensorAttr) -> bool:
        key = (attr.group_name, attr.attr_name)
        if attr.index is None or attr.index == slice(None):
            self._tensors[key] = tensor
            return True
        if key not in self._tensors:
            # Rows of a tensor that is not there yet: it is there if they are all of its rows.
            rows = torch.as_tensor(attr.index)
            if not torch.equal(rows.sort().values, torch.arange(len(tensor))):
                return False
            self._tensors[key] = torch.empty_like(tensor)
        self._tensors[key][attr.index] = tensor
        return True

    def _get_tensor(self, attr: TensorAttr) -> Tensor:
        tensor = self._tensors.get((attr.group_name, attr.attr_name))
        if tensor is None:
            raise KeyError(f"there is no tensor {attr}")
        return tensor if attr.index is None else tensor[attr.index]

    def _remove_tensor(self, attr: TensorAttr) -> bool:
        return self._tensors.pop((attr.group_name, attr.attr_name), None) is not None

    def _get_tensor_size(self, attr: TensorAttr) -> tuple[int, ...] | None:
        tensor = self._tensors.get((attr.group_name, attr.attr_name))
        return None if tensor is None else tuple(tensor.shape)

    def get_all_tensor_attrs(self) -> list[TensorAttr]:
        """One attribute per node type."""
        return [self._tensor_attr_cls(group, name) for group, name in self._tensors]
