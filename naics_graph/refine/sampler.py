"""Seeded neighbour sampling for PyG's `NodeLoader`, without pyg-lib.

Hop by hop, every node found in the hop before draws up to `fan_out[hop]` neighbours in every
relation it listens to. The draw keeps the neighbours whose hashed edge numbers are smallest:
without replacement, and a function of (seed, batch) alone, whatever process draws it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    INDUSTRY,
    ExportedGraph,
    reverse,
)
from naics_graph.refine.pyg import BaseSampler, HeteroSamplerOutput, NodeSamplerInput
from naics_graph.store.contract import Relation

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """Edges that came from the queries themselves; a batch's own are in none of its subgraphs.

    entry: (q,) position of the query's own entry, or -1. exclusion: (q, 2) positions of the codes
    of the exclusion edge its clause was taken from, or -1.
    """

    entry: Tensor
    exclusion: Tensor


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A relation by listener: those of node j are `source[start[j]:start[j + 1]]`."""

    source: Ints
    start: Ints
    edge: Ints


@dataclass(frozen=True, slots=True)
class _Hidden:
    """What one batch leaves out: (m,) bool of entries, sorted numbers of exclusion pairs."""

    entry: Mask
    pair: Ints
    codes: int

    def kept(self, relation: Relation, source: Ints, target: Ints) -> Mask | None:
        """(e,) bool of the edges to keep; None for all."""
        if relation == CLASSIFIED_AS:
            return ~self.entry[source]
        if relation == reverse(CLASSIFIED_AS):
            return ~self.entry[target]
        if relation == EXCLUDES:
            return ~np.isin(source * self.codes + target, self.pair)
        if relation == reverse(EXCLUDES):
            return ~np.isin(target * self.codes + source, self.pair)
        return None


class SubgraphSampler(BaseSampler):  # type: ignore[misc]
    """Samples typed subgraphs around nodes of one type; subgraphs of a batch are merged.

    Args:
        graph: the exported graph.
        fan_out: neighbours per relation and hop, -1 for all.
        seed: of the draws; equal seeds and equal batches give equal subgraphs.
        context: (k,) industry nodes that are seeds of every batch as well.
        leave_out: per query, with the loader's input ids as query numbers, the edges to hide.

    The node list of a type starts with the distinct seeds in the order they were given.
    """

    def __init__(
        self,
        graph: ExportedGraph,
        fan_out: Sequence[int],
        *,
        seed: int,
        context: Tensor | None = None,
        leave_out: LeaveOneOut | None = None,
    ) -> None:
        super().__init__()
        if not fan_out or any(k == 0 or k < -1 for k in fan_out):
            raise ValueError(f"fan_out is {list(fan_out)}: give counts above 0, or -1 for all")
        self.fan_out, self.seed = tuple(fan_out), seed
        self.context = context if context is not None else torch.empty(0, dtype=torch.int64)
        self.leave_out = leave_out
        self.counts: dict[str, int] = {}
        self.incoming: dict[Relation, _Incoming] = {}
        source, start, order = graph.csc()
        for attr in graph.get_all_edge_attrs():
            relation: Relation = attr.edge_type
            self.counts[relation[0]], self.counts[relation[2]] = attr.size
            self.incoming[relation] = _Incoming(
                source[relation].numpy(), start[relation].numpy(), order[relation].numpy()
            )

    def sample_from_nodes(self, index: NodeSamplerInput, **kwargs: Any) -> HeteroSamplerOutput:
        """Subgraph around `index.node` and the context; edges are those of the exported graph."""
        if kwargs or index.time is not None:
            raise ValueError("temporal sampling is not supported: this graph has no times")
        seeds = _first_seen(torch.cat([index.node, self._context(index)]).numpy())
        batch = _Batch(self.counts, index.input_type or INDUSTRY, seeds)
        hidden = self._hidden(index.input_id)
        salt = self._salt(index.input_id)
        for count in self.fan_out:
            for number, (relation, incoming) in enumerate(self.incoming.items()):
                drawn = _draw(
                    incoming, relation, batch.frontier[relation[2]], count, hidden, salt + number
                )
                batch.add(relation, *drawn)
            batch.close_hop()
        return batch.output((index.input_id, index.time))

    def sample_from_edges(self, index: Any, neg_sampling: Any = None) -> HeteroSamplerOutput:
        """Not offered: nothing here trains on links."""
        raise NotImplementedError("SubgraphSampler samples around nodes only")

    def _context(self, index: NodeSamplerInput) -> Tensor:
        return self.context if index.input_type == INDUSTRY else self.context[:0]

    def _salt(self, input_id: Tensor) -> int:
        batch = zlib.crc32(np.ascontiguousarray(input_id.numpy()).tobytes())
        return int(np.random.SeedSequence((self.seed, batch)).generate_state(1, np.uint64)[0] >> 8)

    def _hidden(self, input_id: Tensor) -> _Hidden | None:
        if self.leave_out is None:
            return None
        own = self.leave_out.entry[input_id].numpy()
        entry = np.zeros(self.counts[ENTRY], dtype=np.bool_)
        entry[own[own >= 0]] = True
        pairs = self.leave_out.exclusion[input_id].numpy()
        pairs = pairs[pairs[:, 0] >= 0]
        codes = self.counts[INDUSTRY]
        return _Hidden(entry, np.unique(pairs[:, 0] * codes + pairs[:, 1]), codes)


class _Batch:
    """The growing subgraph: nodes by type in order of discovery, edges by relation."""

    def __init__(self, counts: dict[str, int], seed_type: str, seeds: Ints) -> None:
        self.local = {t: np.full(n, -1, dtype=np.int64) for t, n in counts.items()}
        self.frontier = {t: np.empty(0, dtype=np.int64) for t in counts}
        self.hops: dict[str, list[Ints]] = {t: [] for t in counts}
        self.edges: dict[Relation, list[tuple[Ints, Ints, Ints]]] = {}
        self.found: dict[str, list[Ints]] = {}
        self._discover({**self.frontier, seed_type: seeds})

    def add(self, relation: Relation, source: Ints, target: Ints, edge: Ints) -> None:
        """Edges of this hop; their sources may be new."""
        self.edges.setdefault(relation, []).append((source, target, edge))
        self.found.setdefault(relation[0], []).append(source)

    def close_hop(self) -> None:
        """Number the nodes this hop found; they are the next frontier."""
        new = {}
        for node_type, local in self.local.items():
            found = np.concatenate([self.frontier[node_type][:0], *self.found.get(node_type, [])])
            new[node_type] = np.unique(found[local[found] < 0])
        self.found = {}
        self._discover(new)

    def _discover(self, new: dict[str, Ints]) -> None:
        for node_type, nodes in new.items():
            known = sum(map(len, self.hops[node_type]))
            self.local[node_type][nodes] = np.arange(known, known + len(nodes))
            self.hops[node_type].append(nodes)
        self.frontier = new

    def output(self, metadata: tuple[Tensor, None]) -> HeteroSamplerOutput:
        """In PyG's form: nodes, and edges by local numbers and by edge number."""
        row, col, edge = {}, {}, {}
        for relation, parts in self.edges.items():
            source, target, number = (np.concatenate(column) for column in zip(*parts, strict=True))
            row[relation] = torch.from_numpy(self.local[relation[0]][source])
            col[relation] = torch.from_numpy(self.local[relation[2]][target])
            edge[relation] = torch.from_numpy(number)
        return HeteroSamplerOutput(
            node={t: torch.from_numpy(np.concatenate(hops)) for t, hops in self.hops.items()},
            row=row,
            col=col,
            edge=edge,
            num_sampled_nodes={t: [len(h) for h in hops] for t, hops in self.hops.items()},
            num_sampled_edges={r: [len(p[2]) for p in parts] for r, parts in self.edges.items()},
            metadata=metadata,
        )


def _draw(
    incoming: _Incoming,
    relation: Relation,
    frontier: Ints,
    count: int,
    hidden: _Hidden | None,
    salt: int,
) -> tuple[Ints, Ints, Ints]:
    """Up to `count` edges into every node of the frontier: sources, targets, edge numbers."""
    start = incoming.start[frontier]
    degree = incoming.start[frontier + 1] - start
    target = np.repeat(frontier, degree)
    # Positions of the frontier's edges: each run counts up from its start.
    offset = np.cumsum(degree) - degree
    at = np.arange(len(target)) + np.repeat(start - offset, degree)
    if hidden is not None:
        kept = hidden.kept(relation, incoming.source[at], target)
        if kept is not None:
            at, target = at[kept], target[kept]
    if count >= 0:
        chosen = _smallest(target, _mixed(incoming.edge[at], salt), count)
        at, target = at[chosen], target[chosen]
    return incoming.source[at], target, incoming.edge[at]


def _smallest(target: Ints, key: NDArray[np.uint64], count: int) -> Ints:
    """Indices, ascending, of the `count` smallest keys of every run of equal targets."""
    if not len(target):
        return np.empty(0, dtype=np.int64)
    first = np.flatnonzero(np.r_[True, target[1:] != target[:-1]])
    length = np.diff(np.r_[first, len(target)])
    if length.max() <= count:
        return np.arange(len(target))
    run = np.repeat(np.arange(len(first)), length)
    order = np.lexsort((key, run))
    rank = np.arange(len(target)) - np.repeat(first, length)
    return np.sort(order[rank < count])


def _mixed(edge: Ints, salt: int) -> NDArray[np.uint64]:
    """Hash of edge numbers, uniform over 64 bits (splitmix64's finaliser; Steele et al. 2014)."""
    z = edge.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _first_seen(nodes: Ints) -> Ints:
    """Distinct values in the order they first appear."""
    _, first = np.unique(nodes, return_index=True)
    return nodes[np.sort(first)]
