"""Subgraphs drawn in Cypher on both databases against the cached ones and plain loops."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naics_graph.errors import DatabaseError
from naics_graph.geometry import lorentz
from naics_graph.refine.database import DatabaseFeatures, DatabaseGraph, DatabaseSampler
from naics_graph.refine.draw import polynomial
from naics_graph.refine.entry_points import Encode
from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    HAS_CHILD,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    relations,
    reverse,
    without_entries,
)
from naics_graph.refine.pyg import HeteroData, HeteroSamplerOutput, NodeLoader, NodeSamplerInput
from naics_graph.refine.sampler import LeaveOneOut, NeighbourSampler, SubgraphSampler
from naics_graph.store.contract import GraphExport, GraphStore
from naics_graph.store.open import open_store
from tests.refine.graphs import Edge, check_reading, network, sampled, wide_taxonomy
from tests.store.sample import retitled, sample, sample_set

TAXONOMY = wide_taxonomy()


class Loaded(NamedTuple):
    """A database with `wide_taxonomy`, and its export."""

    store: GraphStore
    graph: GraphExport


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loaded]:
    if request.param == "neo4j":
        store: GraphStore = request.getfixturevalue("neo4j_store")
    else:
        store = open_store(str(tmp_path / "graph.lbug"))
    with store:
        store.load(TAXONOMY)
        yield Loaded(store, store.export_graph("2022"))


def draw(
    sampler: NeighbourSampler, nodes: list[int], node_type: str = INDUSTRY
) -> HeteroSamplerOutput:
    ids = torch.arange(len(nodes))
    return sampler.sample_from_nodes(NodeSamplerInput(ids, torch.tensor(nodes), None, node_type))


def contents(output: HeteroSamplerOutput) -> Any:
    """Everything a sampler gives but the edge numbers, which only an export has."""
    values = dataclasses.asdict(output) | {"edge": None, "metadata": None}
    return {
        name: {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in part.items()}
        for name, part in values.items()
        if part is not None
    }


def in_numbers(output: HeteroSamplerOutput) -> Any:
    """Nodes, and edges by the numbers of the whole graph."""
    nodes = {t: n.tolist() for t, n in output.node.items()}
    edges = {
        relation: [
            (nodes[relation[0]][s], nodes[relation[2]][t])
            for s, t in zip(row.tolist(), output.col[relation].tolist(), strict=True)
        ]
        for relation, row in output.row.items()
    }
    return nodes, edges


def expected(
    graph: GraphExport,
    nodes: list[int],
    fan_out: list[int],
    node_type: str = INDUSTRY,
    *,
    seed: int = 0,
    hidden: set[Edge] = frozenset(),  # type: ignore[assignment]
) -> Any:
    ids = np.arange(len(nodes))
    draws = {relation[1]: polynomial(seed, ids, relation[1]) for relation in relations(graph)}
    return sampled(graph, node_type, nodes, fan_out, draws, hidden)


def test_both_samplers_give_the_subgraph_of_plain_loops(loaded: Loaded) -> None:
    exported, database = ExportedGraph(loaded.graph), DatabaseGraph(*loaded)
    for fan_out in ([2, 3], [1, 1, 1], [5], [-1, -1], [2, -1], [500, 500]):
        cached = SubgraphSampler(exported, fan_out, seed=3)
        there = DatabaseSampler(database, fan_out, seed=3)
        for node_type, nodes in ((INDUSTRY, [40, 3, 77, 3, 0]), (ENTRY, [100, 0, 7])):
            found = draw(there, nodes, node_type)
            assert contents(found) == contents(draw(cached, nodes, node_type))
            assert in_numbers(found) == expected(loaded.graph, nodes, fan_out, node_type, seed=3)


def test_dropout_leaves_out_the_same_edges_wherever_they_are(loaded: Loaded) -> None:
    options: dict[str, Any] = {"seed": 1, "around": torch.arange(92)}
    exported, database = ExportedGraph(loaded.graph), DatabaseGraph(*loaded)
    whole = contents(draw(SubgraphSampler(exported, [4, 2], **options), [0]))
    options["dropout"] = 0.4
    found = contents(draw(DatabaseSampler(database, [4, 2], **options), [0]))
    assert found == contents(draw(SubgraphSampler(exported, [4, 2], **options), [0]))
    for relation, edges in found["row"].items():
        assert 0 < len(edges) < len(whole["row"][relation])


def test_another_seed_or_batch_draws_others(loaded: Loaded) -> None:
    database = DatabaseGraph(*loaded)
    leaves = [loaded.graph.codes.index(c) for c in loaded.graph.codes if len(c) == 6]
    first, again, other = (
        contents(draw(DatabaseSampler(database, [2, 2], seed=seed), leaves)) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_leave_one_out_in_the_database(loaded: Loaded) -> None:
    """Far more hidden than is asked for beyond the fan-out: the draw goes on until it is filled."""
    graph = loaded.graph
    leaf = int(np.bincount(graph.edges[CLASSIFIED_AS][1]).argmax())
    entries = graph.edges[CLASSIFIED_AS][0][graph.edges[CLASSIFIED_AS][1] == leaf].tolist()
    assert len(entries) == 24
    pairs = graph.edges[EXCLUDES].T[:4].tolist()
    own = entries[:20]
    none = [[-1, -1]] * len(own)
    leave_out = LeaveOneOut(torch.tensor(own + [-1] * 4), torch.tensor(none + pairs))
    hidden = {(CLASSIFIED_AS, e, leaf) for e in own} | {
        (reverse(CLASSIFIED_AS), leaf, e) for e in own
    }
    for a, b in pairs:
        hidden |= {(EXCLUDES, a, b), (reverse(EXCLUDES), b, a)}
    nodes = [leaf] * 20 + [b for _, b in pairs]
    options: dict[str, Any] = {"seed": 1, "leave_out": leave_out, "around": torch.arange(92)}
    for fan_out in ([1, 3], [4, 2], [-1]):
        found = draw(DatabaseSampler(DatabaseGraph(*loaded), fan_out, **options), nodes)
        assert contents(found) == contents(
            draw(SubgraphSampler(ExportedGraph(graph), fan_out, **options), nodes)
        )
        ids = np.arange(len(nodes))
        by = {r[1]: polynomial(1, ids, r[1]) for r in relations(graph)}
        assert in_numbers(found) == sampled(graph, INDUSTRY, range(92), fan_out, by, hidden)
        assert not set(own) & set(found.node[ENTRY].tolist())


def test_entries_that_are_not_of_the_graph_are_not_drawn(loaded: Loaded) -> None:
    fewer = without_entries(loaded.graph, set(loaded.graph.entries[::3]))
    database = DatabaseGraph(loaded.store, fewer)
    nodes = list(range(92))
    for fan_out in ([2, 2], [-1]):
        found = draw(DatabaseSampler(database, fan_out, seed=0), nodes)
        assert in_numbers(found) == expected(fewer, nodes, fan_out)
    row, column = database.get_edge_index(database.get_all_edge_attrs()[4])
    assert np.array_equal(torch.stack([row, column]), fewer.edges[CLASSIFIED_AS])


def test_no_query_returns_an_evaluated_entry(loaded: Loaded) -> None:
    by = polynomial(0, np.arange(1), "classified_as")
    keys = [f"2022:{code}" for code in loaded.graph.codes]
    rows = loaded.store.run("sample_classified_as", listeners=keys, count=99, **by._asdict())
    drawn = {edge % 2**32 for row in rows for edge in row["drawn"]}
    usable = {i for i, entry in enumerate(TAXONOMY.entries) if not entry.evaluated}
    assert drawn == usable < set(range(len(TAXONOMY.entries)))


def test_the_graph_in_the_database_is_pygs_graph_store(loaded: Loaded) -> None:
    exported, database = ExportedGraph(loaded.graph), DatabaseGraph(*loaded)
    assert database.get_all_edge_attrs() == exported.get_all_edge_attrs()
    for layout in ("coo", "csr", "csc"):
        expected, found = (getattr(graph, layout)() for graph in (exported, database))
        for part, other in zip(expected[:2], found[:2], strict=True):
            assert part.keys() == other.keys()
            assert all(torch.equal(part[relation], other[relation]) for relation in part)
    attr = database.get_all_edge_attrs()[0]
    edge = (torch.tensor([0]), torch.tensor([1]))
    with pytest.raises(NotImplementedError, match="by `load` alone"):
        database.put_edge_index(edge, attr)
    with pytest.raises(NotImplementedError, match="by `load` alone"):
        database.remove_edge_index(attr)
    for unknown in ({"edge_type": HAS_CHILD, "layout": "csc"}, {"edge_type": ("a", "b", "c")}):
        with pytest.raises(KeyError):
            database.get_edge_index(**{"layout": "coo", "size": (92, 92), **unknown})


def test_nodes_can_be_read_without_edges(loaded: Loaded) -> None:
    nodes = loaded.store.graph_nodes("2022")
    for field in dataclasses.fields(nodes):
        assert np.array_equal(getattr(nodes, field.name), getattr(loaded.graph, field.name))
    seeds = [0, 50]
    found = draw(DatabaseSampler(DatabaseGraph(loaded.store, nodes), [3, 3], seed=0), seeds)
    assert in_numbers(found) == expected(loaded.graph, seeds, [3, 3])


def test_a_database_that_changed_is_noticed_by_the_next_batch(loaded: Loaded) -> None:
    database = DatabaseGraph(*loaded)
    sampler = DatabaseSampler(database, [2], seed=0)
    draw(sampler, [0])
    loaded.store.load(retitled(TAXONOMY, "11", "Renamed"))
    with pytest.raises(DatabaseError, match="changed since it was exported"):
        draw(sampler, [0])
    with pytest.raises(DatabaseError, match="changed since it was exported"):
        database.get_edge_index(database.get_all_edge_attrs()[0])


def phrase_points(texts: Sequence[str]) -> NDArray[np.float64]:
    """(k, 6) points as `Artifact.encode` gives them, each of its own text to the last bit."""
    points = []
    for text in texts:
        tangent = np.random.default_rng(zlib.crc32(text.encode())).normal(size=5)
        points.append(lorentz.expmap0(torch.from_numpy(tangent), 1.0).numpy())
    return np.array(points)


def features_of(loaded: Loaded, *, entries: Encode | None = phrase_points) -> DatabaseFeatures:
    """Features of the set "points", which is published here."""
    loaded.store.publish(*sample_set(TAXONOMY, "points", dims=5))
    return DatabaseFeatures(DatabaseGraph(*loaded), "points", entries=entries)


def known_points(loaded: Loaded) -> dict[str, torch.Tensor]:
    """Past the features: the points of the set, and those of the texts that were loaded."""
    codes, points = loaded.store.read_set("points")
    assert tuple(codes) == loaded.graph.codes
    texts = {entry.key: entry.text for entry in TAXONOMY.entries}
    entries = phrase_points([texts[key] for key in loaded.graph.entries])
    return {INDUSTRY: torch.from_numpy(points), ENTRY: torch.from_numpy(entries)}


def test_the_features_in_the_database_pass_the_checks_of_pyg(loaded: Loaded) -> None:
    features = features_of(loaded)
    known = known_points(loaded)
    check_reading(features, INDUSTRY, "x", known[INDUSTRY])
    check_reading(
        features, INDUSTRY, "depth", torch.tensor([len(c) - 1 for c in loaded.graph.codes])
    )
    check_reading(features, ENTRY, "x", known[ENTRY])
    with pytest.raises(NotImplementedError, match="by `publish` alone"):
        features.put_tensor(known[INDUSTRY], INDUSTRY, "x", None)
    with pytest.raises(NotImplementedError, match="by `publish` alone"):
        features.remove_tensor(INDUSTRY, "x", None)
    with pytest.raises(DatabaseError, match="there is no embedding set"):
        DatabaseFeatures(DatabaseGraph(*loaded), "other")


def test_a_sector_that_is_a_range_has_the_depth_of_a_sector(tmp_path: Path) -> None:
    taxonomy = sample()
    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(taxonomy)
        store.publish(*sample_set(taxonomy, "points"))
        graph = DatabaseGraph(store, store.graph_nodes("2022"))
        depth = DatabaseFeatures(graph, "points")[INDUSTRY, "depth", :]
    assert dict(zip(graph.nodes.codes, depth.tolist(), strict=True)) == {
        industry.code: industry.depth for industry in taxonomy.industries
    }


def test_entries_have_points_where_texts_can_be_encoded(loaded: Loaded) -> None:
    features = features_of(loaded, entries=None)
    assert features.get_tensor_size(group_name=ENTRY, attr_name="x", index=None) is None
    with pytest.raises(KeyError, match="not in the database, which has 'x' of 'industry', 'depth'"):
        features.get_tensor(ENTRY, "x", None)
    graph = DatabaseGraph(*loaded)
    batch = NodeLoader(
        (features, graph), DatabaseSampler(graph, [2, 2], seed=0), input_nodes=INDUSTRY
    )(torch.tensor([5, 8]))
    assert "x" in batch[INDUSTRY]
    assert len(batch[ENTRY].n_id)
    assert "x" not in batch[ENTRY]


def test_texts_are_encoded_once_while_their_points_are_kept(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def encode(texts: Sequence[str]) -> NDArray[np.float64]:
        asked.append(len(texts))
        return phrase_points(texts)

    features, wanted = features_of(loaded, entries=encode), known_points(loaded)[ENTRY]
    monkeypatch.setattr("naics_graph.refine.entry_points.CACHED", 4)
    for numbers, misses in (
        ([0, 1, 2, 1], [3]),
        ([2, 0], []),
        ([7, 8], [2]),  # 1 is the one that was not asked for since, and leaves
        ([0, 2, 7, 8], []),
        ([1], [1]),
        ([0, 1, 2, 3, 4, 5], [4]),
        ([], []),
    ):
        asked.clear()
        index = torch.tensor(numbers, dtype=torch.int64)
        assert torch.equal(features[ENTRY, "x", index], wanted[index])
        assert asked == misses


def test_what_is_encoded_belongs_to_the_set_and_to_the_graph(loaded: Loaded) -> None:
    other = features_of(loaded, entries=lambda texts: phrase_points(texts)[:, :-1])
    with pytest.raises(ValueError, match=r"gave \(2, 5\) for 2 texts.*needs \(2, 6\)"):
        other.get_tensor(ENTRY, "x", torch.tensor([0, 3]))
    features = DatabaseFeatures(DatabaseGraph(*loaded), "points", entries=phrase_points)
    loaded.store.load(dataclasses.replace(TAXONOMY, entries=TAXONOMY.entries[:50]))
    with pytest.raises(DatabaseError, match="changed since it was exported"):
        features.get_tensor(ENTRY, "x", None)


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_batches_of_the_database_refine_as_the_whole_graph_does(
    loaded: Loaded, layers: int
) -> None:
    features, known = features_of(loaded), known_points(loaded)
    made = network(1.0, layers, dim=5)
    whole = made.refine_codes(loaded.graph, known[INDUSTRY], known[ENTRY])
    graph = DatabaseGraph(loaded.store, loaded.store.graph_nodes("2022"))
    sampler = DatabaseSampler(graph, [-1] * layers, seed=0)
    parts = []
    for batch in NodeLoader((features, graph), sampler, input_nodes=INDUSTRY, batch_size=30):
        moved = made(batch.x_dict, batch.edge_index_dict, batch[INDUSTRY].depth)
        parts.append(moved[: batch[INDUSTRY].batch_size])
    assert len(parts) == 4
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-9, atol=1e-9)
    assert float(lorentz.distance(whole, known[INDUSTRY], 1.0).min()) > 1e-3


def test_copies_in_other_processes_draw_the_same_and_carry_no_password(
    loaded: Loaded, request: pytest.FixtureRequest
) -> None:
    """Two workers forked, and one pickle opened here, against this process's own."""
    exported, there = ExportedGraph(loaded.graph), features_of(loaded)
    known = PointFeatures(known_points(loaded))
    database = DatabaseGraph(*loaded)
    for features, graph, sampler in (
        (known, exported, SubgraphSampler(exported, [2, 2], seed=5)),
        (there, database, DatabaseSampler(database, [2, 2], seed=5)),
    ):
        backends = (features, graph)
        # What is kept does not travel: a copy reads and encodes for itself.
        own = [_shown(b) for b in _batches(backends, sampler)]
        packed = pickle.dumps((backends, sampler))
        if loaded.store.dialect == "neo4j":
            password = request.getfixturevalue("neo4j_server").password
            assert len(password) >= 8
            assert password.encode() not in packed
        copies, opened = pickle.loads(packed)
        assert [_shown(b) for b in _batches(copies, opened)] == own
        assert [_shown(b) for b in _batches(backends, sampler, num_workers=2)] == own
        if isinstance(opened, DatabaseSampler):
            opened.graph.store.close()
        # The parent's own connection outlives its workers.
        assert _shown(next(iter(_batches(backends, sampler)))) == own[0]


def _batches(backends: Any, sampler: NeighbourSampler, **options: Any) -> NodeLoader:
    return NodeLoader(backends, sampler, input_nodes=INDUSTRY, batch_size=30, **options)


def _shown(batch: HeteroData) -> Any:
    return (
        {t: batch[t].n_id.tolist() for t in batch.node_types},
        {t: batch[t].x.tolist() for t in batch.node_types},
        {r: batch[r].edge_index.tolist() for r in batch.edge_types},
    )


def test_a_copy_of_the_graph_shares_the_store_of_its_process(loaded: Loaded) -> None:
    database = DatabaseGraph(*loaded)
    assert database.store is loaded.store
    assert copy.copy(database).store is loaded.store
