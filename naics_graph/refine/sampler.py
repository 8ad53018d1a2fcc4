"""Seeded neighbour sampling for PyG's `NodeLoader`, without pyg-lib.

Hop by hop, every node found in the hop before draws up to `fan_out[hop]` neighbours in every
relation it listens to, without replacement (`draw`). What is drawn is a function of (seed, batch)
alone, whatever process draws it, for which of the listeners, and wherever the edges are: in memory
here, in the database in `database`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.refine.draw import (
    PRIME,
    SHIFT,
    Ints,
    Polynomial,
    edge_keys,
    polynomial,
    smallest,
)
from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    INDUSTRY,
    ExportedGraph,
    reverse,
)
from naics_graph.refine.pyg import (
    BaseSampler,
    GraphStore,
    HeteroSamplerOutput,
    NodeSamplerInput,
)
from naics_graph.store.contract import Relation

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LeaveOneOut:
    """Edges that came from the queries themselves; a batch's own are in none of its subgraphs.

    entry: (q, k) positions of the query's own entries, or -1. exclusion: (q, 2) positions of the
    codes of the exclusion edge its clause was taken from, or -1.
    """

    entry: Tensor
    exclusion: Tensor


@dataclass(frozen=True, slots=True)
class Hidden:
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


class Drawn(NamedTuple):
    """Edges (e,): speakers, listeners, and their numbers in an export, if there is one."""

    source: Ints
    target: Ints
    edge: Ints | None


_NONE: Final = np.empty(0, dtype=np.int64)
NOTHING: Final = Drawn(_NONE, _NONE, _NONE)


class NeighbourSampler(BaseSampler):  # type: ignore[misc]
    """Samples typed subgraphs around nodes of one type; subgraphs of a batch are merged.

    Args:
        graph: the exported graph, or the graph in the database.
        fan_out: neighbours per relation and hop, -1 for all.
        seed: of the draws; equal seeds and equal batches give equal subgraphs.
        around: (k,) industry nodes that are the seeds of every batch, in place of its input nodes.
            Codes then draw `fan_out[0]` neighbours in whatever hop they are found, so that those
            around a part of the codes hear what they hear where all codes are seeds.
        leave_out: per query, with the loader's input ids as query numbers, the edges to hide.
        dropout: share of the drawn edges that is left out, in [0, 1).

    The node list of a type starts with the distinct seeds in the order they were given.
    """

    def __init__(
        self,
        graph: GraphStore,
        fan_out: Sequence[int],
        *,
        seed: int,
        around: Tensor | None = None,
        leave_out: LeaveOneOut | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not fan_out or any(k == 0 or k < -1 for k in fan_out):
            raise ValueError(f"fan_out is {list(fan_out)}: give counts above 0, or -1 for all")
        self.fan_out, self.seed, self.dropout = tuple(fan_out), seed, dropout
        self.around, self.leave_out = around, leave_out
        self.place: Mapping[str, Ints] = graph.place
        self.counts: dict[str, int] = {}
        self.relations: list[Relation] = []
        for attr in graph.get_all_edge_attrs():
            self.relations.append(attr.edge_type)
            self.counts[attr.edge_type[0]], self.counts[attr.edge_type[2]] = attr.size

    @abstractmethod
    def _drawn(
        self, relation: Relation, frontier: Ints, count: int, hidden: Hidden | None, by: Polynomial
    ) -> Drawn:
        """Up to `count` edges (-1: all) into every node of the frontier that are not hidden.

        In the order of the frontier, those of one listener in the order of their speakers' places.
        """

    def _sampled(self) -> None:
        """Called when a batch is drawn, before it is given out."""

    def sample_from_nodes(self, index: NodeSamplerInput, **kwargs: Any) -> HeteroSamplerOutput:
        """Subgraph around `index.node`, or around the nodes given to the sampler."""
        if kwargs or index.time is not None:
            raise ValueError("temporal sampling is not supported: this graph has no times")
        seed_type, seeds = index.input_type or INDUSTRY, index.node
        if self.around is not None:
            seed_type, seeds = INDUSTRY, self.around
        batch = _Batch(self.counts, seed_type, _first_seen(seeds.numpy()))
        hidden = self._hidden(index.input_id)
        ids = index.input_id.numpy()
        by = {relation: polynomial(self.seed, ids, relation[1]) for relation in self.relations}
        for hop in range(len(self.fan_out)):
            for relation in self.relations:
                frontier = batch.frontier[relation[2]]
                drawn = NOTHING
                if len(frontier):
                    count = self._count(hop, relation[2])
                    drawn = self._drawn(relation, frontier, count, hidden, by[relation])
                batch.add(relation, self._left(relation, drawn, ids))
            batch.close_hop()
        self._sampled()
        return batch.output((index.input_id, index.time))

    def sample_from_edges(self, index: Any, neg_sampling: Any = None) -> HeteroSamplerOutput:
        """Not offered: nothing here trains on links."""
        raise NotImplementedError(f"{type(self).__name__} samples around nodes only")

    def _count(self, hop: int, listener: str) -> int:
        """Neighbours a node of a type draws if it was found in the hop before."""
        return self.fan_out[0 if self.around is not None and listener == INDUSTRY else hop]

    def _left(self, relation: Relation, drawn: Drawn, ids: Ints) -> Drawn:
        """What dropout leaves of drawn edges; each falls by a hash of its own.

        Of the nodes' numbers: entries that are not in the graph, as those of validation, have a
        part in the places of the others but not in these.
        """
        if not self.dropout or not len(drawn.source):
            return drawn
        by = polynomial(self.seed, ids, f"dropout of {relation[1]}")
        kept = edge_keys(drawn.source, drawn.target, by) >> SHIFT >= self.dropout * PRIME
        edge = None if drawn.edge is None else drawn.edge[kept]
        return Drawn(drawn.source[kept], drawn.target[kept], edge)

    def _hidden(self, input_id: Tensor) -> Hidden | None:
        if self.leave_out is None:
            return None
        own = self.leave_out.entry[input_id].numpy()
        entry = np.zeros(self.counts[ENTRY], dtype=np.bool_)
        entry[own[own >= 0]] = True
        pairs = self.leave_out.exclusion[input_id].numpy()
        pairs = pairs[pairs[:, 0] >= 0]
        codes = self.counts[INDUSTRY]
        return Hidden(entry, np.unique(pairs[:, 0] * codes + pairs[:, 1]), codes)


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A relation by listener: those of node j are `source[start[j]:start[j + 1]]`, by place."""

    source: Ints
    start: Ints
    edge: Ints

    @classmethod
    def of(cls, source: Ints, target: Ints, place: Ints, listeners: int) -> Self:
        edge = np.lexsort((place[source], target))
        start = np.zeros(listeners + 1, dtype=np.int64)
        np.cumsum(np.bincount(target, minlength=listeners), out=start[1:])
        return cls(source[edge], start, edge)


class SubgraphSampler(NeighbourSampler):
    """Draws from an exported graph in memory; `e_id` of a batch are edge numbers of the export."""

    def __init__(
        self,
        graph: ExportedGraph,
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
        self.incoming: dict[Relation, _Incoming] = {}
        for attr in graph.get_all_edge_attrs():
            source, target = (end.numpy() for end in graph.get_edge_index(attr))
            place = self.place[attr.edge_type[0]]
            self.incoming[attr.edge_type] = _Incoming.of(source, target, place, attr.size[1])

    def _drawn(
        self, relation: Relation, frontier: Ints, count: int, hidden: Hidden | None, by: Polynomial
    ) -> Drawn:
        incoming = self.incoming[relation]
        start = incoming.start[frontier]
        degree = incoming.start[frontier + 1] - start
        target = np.repeat(frontier, degree)
        # Where the frontier's edges are: each run counts up from its start.
        offset = np.cumsum(degree) - degree
        at = np.arange(len(target)) + np.repeat(start - offset, degree)
        if hidden is not None:
            kept = hidden.kept(relation, incoming.source[at], target)
            if kept is not None:
                at, target = at[kept], target[kept]
        if 0 <= count < degree.max():
            source = self.place[relation[0]][incoming.source[at]]
            keys = edge_keys(source, self.place[relation[2]][target], by)
            chosen = smallest(target, keys, count)
            at, target = at[chosen], target[chosen]
        return Drawn(incoming.source[at], target, incoming.edge[at])


class _Batch:
    """The growing subgraph: nodes by type in order of discovery, edges by relation."""

    def __init__(self, counts: dict[str, int], seed_type: str, seeds: Ints) -> None:
        self.local = {t: np.full(n, -1, dtype=np.int64) for t, n in counts.items()}
        self.frontier = {t: np.empty(0, dtype=np.int64) for t in counts}
        self.hops: dict[str, list[Ints]] = {t: [] for t in counts}
        self.edges: dict[Relation, list[Drawn]] = {}
        self.found: dict[str, list[Ints]] = {}
        self._discover({**self.frontier, seed_type: seeds})

    def add(self, relation: Relation, drawn: Drawn) -> None:
        """Edges of this hop; their speakers may be new."""
        self.edges.setdefault(relation, []).append(drawn)
        self.found.setdefault(relation[0], []).append(drawn.source)

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
        row, col = {}, {}
        edge: dict[Relation, Tensor | None] = {}
        for relation, parts in self.edges.items():
            source, target = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
            row[relation] = torch.from_numpy(self.local[relation[0]][source])
            col[relation] = torch.from_numpy(self.local[relation[2]][target])
            numbers = [p.edge for p in parts if p.edge is not None]
            complete = len(numbers) == len(parts)
            edge[relation] = torch.from_numpy(np.concatenate(numbers)) if complete else None
        return HeteroSamplerOutput(
            node={t: torch.from_numpy(np.concatenate(hops)) for t, hops in self.hops.items()},
            row=row,
            col=col,
            edge=edge,
            num_sampled_nodes={t: [len(h) for h in hops] for t, hops in self.hops.items()},
            num_sampled_edges={
                r: [len(p.source) for p in parts] for r, parts in self.edges.items()
            },
            metadata=metadata,
        )


def _first_seen(nodes: Ints) -> Ints:
    """Distinct values in the order they first appear."""
    _, first = np.unique(nodes, return_index=True)
    return nodes[np.sort(first)]
