"""Sampled subgraphs against plain loops: their nodes and edges, what is left out, the seed."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    relations,
    reverse,
)
from naics_graph.refine.pyg import HeteroData, NodeLoader
from naics_graph.refine.sampler import LeaveOneOut, SubgraphSampler
from naics_graph.store.contract import Relation
from tests.refine.graphs import graph_points, reachable, small_graph, small_tree

TREE = small_tree((2, 3, 2, 2, 3))
GRAPH = small_graph(TREE, entries_per_leaf=6, exclusions=80)
EDGES = relations(GRAPH)
POINTS = graph_points(GRAPH, 4, 1.0)
Edge = tuple[Relation, int, int]


def sample(nodes: list[int], fan_out: list[int], *, seed: int = 0, **options: Any) -> HeteroData:
    """One batch of a loader over the graph."""
    graph = ExportedGraph(GRAPH)
    sampler = SubgraphSampler(graph, fan_out, seed=seed, **options)
    seeds = torch.tensor(nodes)
    loader = NodeLoader(
        (PointFeatures(POINTS), graph),
        sampler,
        input_nodes=(INDUSTRY, seeds),
        input_id=torch.arange(len(seeds)),
        batch_size=len(seeds),
    )
    return next(iter(loader))


def edges_of(batch: HeteroData) -> list[Edge]:
    """Edges of a batch by the numbers of the whole graph."""
    found: list[Edge] = []
    for relation in batch.edge_types:
        source, target = batch[relation].edge_index
        heard = batch[relation[0]].n_id[source].tolist()
        by = batch[relation[2]].n_id[target].tolist()
        found += [(relation, s, t) for s, t in zip(heard, by, strict=True)]
    return found


def nodes_of(batch: HeteroData) -> set[tuple[str, int]]:
    return {(t, node) for t in batch.node_types for node in batch[t].n_id.tolist()}


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_full_fan_out_is_the_neighbourhood(hops: int) -> None:
    seeds = [40, 3, 77]
    batch = sample(seeds, [-1] * hops)
    nodes, edges = reachable(EDGES, set(seeds), hops)
    assert nodes_of(batch) == nodes
    assert Counter(edges_of(batch)) == Counter(edges)


def test_fan_out_above_every_degree_is_full() -> None:
    assert edges_of(sample([5, 60], [500, 500])) == edges_of(sample([5, 60], [-1, -1]))


def test_fan_out_draws_without_replacement() -> None:
    seeds = list(range(0, len(TREE.codes), 3))
    batch = sample(seeds, [2, 3])
    drawn = Counter(edges_of(batch))
    _, every = reachable(EDGES, set(range(len(TREE.codes))), 2)
    assert set(drawn.values()) == {1}
    assert set(drawn) <= every
    degree = Counter((relation, target) for relation, _, target in every)
    heard = Counter((relation, target) for relation, _, target in drawn)
    for (relation, target), count in heard.items():
        limit = 2 if relation[2] == INDUSTRY and target in seeds else 3
        assert count == min(limit, degree[relation, target])
    assert all(heard[r, t] for r, t in degree if r[2] == INDUSTRY and t in seeds)


def test_every_neighbour_is_drawn_as_often() -> None:
    leaf = int(GRAPH.edges[CLASSIFIED_AS][1][0])
    counts: Counter[int] = Counter()
    for seed in range(600):
        batch = sample([leaf], [2], seed=seed)
        counts.update(batch[ENTRY].n_id.tolist())
    # 600 draws of 2 of 6: 200 each, standard deviation 11.5.
    assert sorted(counts) == list(range(6))
    assert all(abs(count - 200) < 50 for count in counts.values())


def test_the_seed_and_the_batch_decide_the_draw() -> None:
    seeds = list(range(len(TREE.codes)))
    first = edges_of(sample(seeds, [2, 2], seed=3))
    assert edges_of(sample(seeds, [2, 2], seed=3)) == first
    assert edges_of(sample(seeds, [2, 2], seed=4)) != first


def test_a_pickled_sampler_draws_the_same() -> None:
    graph = ExportedGraph(GRAPH)
    sampler = SubgraphSampler(graph, [2, 2], seed=1)
    seeds = torch.arange(50)
    first, second = (
        NodeLoader((PointFeatures(POINTS), graph), s, input_nodes=(INDUSTRY, seeds))(seeds)
        for s in (sampler, pickle.loads(pickle.dumps(sampler)))
    )
    assert edges_of(first) == edges_of(second)


def test_seeds_come_first_and_nodes_carry_their_points() -> None:
    seeds = [9, 4, 9, 30]
    batch = sample(seeds, [3, 2])
    assert batch[INDUSTRY].n_id[:3].tolist() == [9, 4, 30]
    for node_type, points in POINTS.items():
        assert torch.equal(batch[node_type].x, points[batch[node_type].n_id])
        assert len(batch[node_type].n_id.unique()) == len(batch[node_type].n_id)
    assert batch[INDUSTRY].num_sampled_nodes[0] == 3
    for relation in batch.edge_types:
        wanted = EDGES[relation][:, batch[relation].e_id]
        source, target = batch[relation].edge_index
        assert torch.equal(batch[relation[0]].n_id[source], wanted[0])
        assert torch.equal(batch[relation[2]].n_id[target], wanted[1])


def own_edges(entries: list[int], exclusions: list[tuple[int, int]]) -> set[Edge]:
    """What a batch whose queries came from these must not contain, in either direction."""
    own: set[Edge] = set()
    for entry in entries:
        code = int(GRAPH.edges[CLASSIFIED_AS][1][entry])
        own |= {(CLASSIFIED_AS, entry, code), (reverse(CLASSIFIED_AS), code, entry)}
    for source, target in exclusions:
        own |= {(EXCLUDES, source, target), (reverse(EXCLUDES), target, source)}
    return own


def leave(entries: list[int], exclusions: list[tuple[int, int]]) -> LeaveOneOut:
    """Queries from entries, then queries from exclusions."""
    none = [(-1, -1)] * len(entries)
    entry: Tensor = torch.tensor(entries + [-1] * len(exclusions))
    return LeaveOneOut(entry, torch.tensor(none + exclusions))


def test_a_querys_own_edges_are_in_no_subgraph_of_its_batch() -> None:
    entries = [0, 1, 8, 17]
    exclusions = [tuple(pair) for pair in GRAPH.edges[EXCLUDES].T[[2, 5, 11]].tolist()]
    codes = [int(GRAPH.edges[CLASSIFIED_AS][1][e]) for e in entries] + [t for _, t in exclusions]
    everything = torch.arange(len(TREE.codes))
    own = own_edges(entries, exclusions)
    batch = sample(codes, [-1, -1], around=everything, leave_out=leave(entries, exclusions))
    assert not own & set(edges_of(batch))
    assert not set(entries) & set(batch[ENTRY].n_id.tolist())
    _, every = reachable(EDGES, set(everything.tolist()), 2)
    assert set(edges_of(batch)) == every - own


def test_a_planted_leak_is_seen() -> None:
    """Without leave-one-out the very edges the test above looks for are there."""
    entries = [0, 1, 8, 17]
    exclusions = [tuple(pair) for pair in GRAPH.edges[EXCLUDES].T[[2, 5, 11]].tolist()]
    codes = [int(GRAPH.edges[CLASSIFIED_AS][1][e]) for e in entries] + [t for _, t in exclusions]
    forgotten = leave([-1] * 4, [(-1, -1)] * 3)
    batch = sample(codes, [-1, -1], around=torch.arange(len(TREE.codes)), leave_out=forgotten)
    assert own_edges(entries, exclusions) <= set(edges_of(batch))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_parts_of_the_codes_hear_what_all_of_them_hear(dropout: float) -> None:
    """Two hops: what a code in a part hears, and what those it hears have heard."""
    asked, own = [40, 3], leave([0, 8], [])
    codes = torch.arange(len(TREE.codes))

    def heard(around: Tensor) -> tuple[HeteroData, dict[tuple[str, int], set[Edge]]]:
        batch = sample(asked, [2, 1], around=around, leave_out=own, dropout=dropout)
        by_listener: dict[tuple[str, int], set[Edge]] = {}
        for edge in edges_of(batch):
            by_listener.setdefault((edge[0][2], edge[2]), set()).add(edge)
        return batch, by_listener

    _, whole = heard(codes)
    for part in torch.split(codes, 70):
        batch, its = heard(part)
        assert batch[INDUSTRY].n_id[: len(part)].tolist() == part.tolist()
        for code in part.tolist():
            edges = whole.get((INDUSTRY, code), set())
            assert its.get((INDUSTRY, code), set()) == edges
            for relation, speaker, _ in edges:
                one = (relation[0], speaker)
                assert its.get(one, set()) == whole.get(one, set())


def test_dropout_leaves_out_its_share_of_every_relation_by_seed_and_batch() -> None:
    codes = torch.arange(len(TREE.codes))
    full = Counter(relation for relation, *_ in edges_of(sample([0], [-1], around=codes)))
    kept: Counter[Relation] = Counter()
    seen = set()
    for seed in range(20):
        edges = edges_of(sample([0], [-1], around=codes, dropout=0.3, seed=seed))
        assert edges_of(sample([0], [-1], around=codes, dropout=0.3, seed=seed)) == edges
        assert edges_of(sample([0, 1], [-1], around=codes, dropout=0.3, seed=seed)) != edges
        kept.update(relation for relation, *_ in edges)
        seen.add(frozenset(edges))
    assert len(seen) == 20
    for relation, count in full.items():
        # Of 1,000 edges or more: standard deviation below .015.
        assert kept[relation] / (20 * count) == pytest.approx(0.7, abs=0.06)


def test_dropout_is_the_same_where_other_entries_stood_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Entries that are not of the graph, as those of validation, shift the places of the others."""
    codes = torch.arange(len(TREE.codes))
    before = edges_of(sample([0], [-1], around=codes, dropout=0.4))
    rank = np.argsort(np.argsort(GRAPH.entry_place))
    shifted = dataclasses.replace(GRAPH, entry_place=3 * rank + 7)
    assert not np.array_equal(shifted.entry_place, GRAPH.entry_place)
    monkeypatch.setattr("tests.refine.test_sampler.GRAPH", shifted)
    assert edges_of(sample([0], [-1], around=codes, dropout=0.4)) == before


def test_hidden_edges_make_room_for_others() -> None:
    leaf = int(GRAPH.edges[CLASSIFIED_AS][1][0])
    batch = sample([leaf], [5], leave_out=leave([2], []))
    assert sorted(batch[ENTRY].n_id.tolist()) == [0, 1, 3, 4, 5]


def test_entries_may_be_seeds() -> None:
    graph = ExportedGraph(GRAPH)
    sampler = SubgraphSampler(graph, [-1], seed=0)
    loader = NodeLoader((PointFeatures(POINTS), graph), sampler, input_nodes=ENTRY)
    batch = loader(torch.tensor([0, 12]))
    assert batch[ENTRY].n_id.tolist() == [0, 12]
    heard = GRAPH.edges[CLASSIFIED_AS][1][[0, 12]].tolist()
    assert edges_of(batch) == [
        (reverse(CLASSIFIED_AS), code, entry) for code, entry in zip(heard, (0, 12), strict=True)
    ]


@pytest.mark.parametrize("fan_out", [[], [0], [5, -2]])
def test_fan_out_that_draws_nothing_is_refused(fan_out: list[int]) -> None:
    with pytest.raises(ValueError, match="fan_out"):
        SubgraphSampler(ExportedGraph(GRAPH), fan_out, seed=0)


def test_links_and_times_are_not_offered() -> None:
    sampler = SubgraphSampler(ExportedGraph(GRAPH), [1], seed=0)
    with pytest.raises(NotImplementedError):
        sampler.sample_from_edges(None)
    graph = ExportedGraph(GRAPH)
    loader = NodeLoader(
        (PointFeatures(POINTS), graph),
        sampler,
        input_nodes=(INDUSTRY, torch.arange(3)),
        input_time=torch.arange(3),
    )
    with pytest.raises(ValueError, match="no times"):
        loader(torch.tensor([0]))
