"""Typed relations, PyG's remote backends over them, and a graph that changed."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from naics_graph.errors import DatabaseError
from naics_graph.evaluate.held_out import without_codes
from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    HAS_CHILD,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    of_codes,
    relations,
    require_current,
    reverse,
    without_entries,
)
from naics_graph.refine.pyg import TensorAttr
from naics_graph.store.contract import GraphStore
from naics_graph.store.open import open_store
from tests.refine.graphs import check_reading, small_graph, small_tree, wide_taxonomy

TREE = small_tree()
GRAPH = small_graph(TREE)


def test_every_relation_comes_with_its_reverse() -> None:
    edges = relations(GRAPH)
    assert list(edges) == [
        r
        for relation in (HAS_CHILD, EXCLUDES, CLASSIFIED_AS)
        for r in (relation, reverse(relation))
    ]
    for relation in (HAS_CHILD, EXCLUDES, CLASSIFIED_AS):
        there = set(map(tuple, edges[relation].T.tolist()))
        back = set(map(tuple, edges[reverse(relation)].flip(0).T.tolist()))
        assert there == back == set(map(tuple, GRAPH.edges[relation].T.tolist()))


def test_a_parent_speaks_to_its_children() -> None:
    for speaker, listener in relations(GRAPH)[HAS_CHILD].T.tolist():
        assert TREE.parent[listener] == speaker


def test_parallel_exclusions_are_one_edge() -> None:
    twice = np.concatenate([GRAPH.edges[EXCLUDES]] * 2, axis=1)
    doubled = dataclasses.replace(GRAPH, edges={**GRAPH.edges, EXCLUDES: twice})
    for relation, pairs in relations(doubled).items():
        assert set(map(tuple, pairs.T.tolist())) == set(
            map(tuple, relations(GRAPH)[relation].T.tolist())
        )
        assert pairs.shape == relations(GRAPH)[relation].shape


def test_a_graph_without_entries_or_exclusions_has_empty_relations() -> None:
    none = np.empty((2, 0), dtype=np.int64)
    edges = {HAS_CHILD: GRAPH.edges[HAS_CHILD], EXCLUDES: none, CLASSIFIED_AS: none}
    bare = dataclasses.replace(GRAPH, entries=(), entry_place=none[0], edges=edges)
    source, start, _ = ExportedGraph(bare).csc()
    assert source[CLASSIFIED_AS].shape == (0,)
    assert start[CLASSIFIED_AS].tolist() == [0] * (len(TREE.codes) + 1)
    assert start[reverse(CLASSIFIED_AS)].tolist() == [0]


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_the_graph_store_gives_every_layout(layout: str) -> None:
    """The checks PyG makes of a graph store: every layout holds the same edges."""
    graph = ExportedGraph(GRAPH)
    rows, columns, _ = getattr(graph, layout)()
    for attr in graph.get_all_edge_attrs():
        row, column = rows[attr.edge_type], columns[attr.edge_type]
        if layout == "csr":
            row = torch.repeat_interleave(torch.arange(len(row) - 1), row.diff())
        if layout == "csc":
            column = torch.repeat_interleave(torch.arange(len(column) - 1), column.diff())
        wanted = relations(GRAPH)[attr.edge_type]
        assert attr.size == (
            len(GRAPH.codes if attr.edge_type[0] == INDUSTRY else GRAPH.entries),
            len(GRAPH.codes if attr.edge_type[2] == INDUSTRY else GRAPH.entries),
        )
        assert set(zip(row.tolist(), column.tolist(), strict=True)) == set(
            zip(*wanted.tolist(), strict=True)
        )


def test_the_graph_store_puts_gets_and_removes() -> None:
    graph = ExportedGraph(GRAPH)
    edge = (torch.tensor([0]), torch.tensor([1]))
    new = (INDUSTRY, "sibling", INDUSTRY)
    size = (len(GRAPH.codes), len(GRAPH.codes))
    assert graph.put_edge_index(edge, edge_type=new, layout="coo", size=size)
    assert graph.get_edge_index(edge_type=new, layout="coo", size=size) == edge
    with pytest.raises(KeyError):
        graph.get_edge_index(edge_type=new, layout="csc", size=size)
    assert graph.remove_edge_index(edge_type=new, layout="coo")
    assert not graph.remove_edge_index(edge_type=new, layout="coo")
    with pytest.raises(KeyError):
        graph.get_edge_index(edge_type=new, layout="coo", size=size)


def test_the_feature_store_puts_gets_updates_and_removes() -> None:
    points = torch.arange(12.0).reshape(4, 3)
    features = PointFeatures({INDUSTRY: points.clone()})
    rows = torch.tensor([2, 0])
    assert features.get_tensor_size(group_name=INDUSTRY, attr_name="x") == (4, 3)
    assert torch.equal(features.get_tensor(INDUSTRY, "x", None), points)
    assert torch.equal(features[INDUSTRY, "x", rows], points[rows])
    assert features.put_tensor(torch.zeros(2, 3), INDUSTRY, "x", rows)
    assert torch.equal(features[INDUSTRY, "x", None].sum(1), torch.tensor([0.0, 12.0, 0.0, 30.0]))
    assert not features.put_tensor(torch.zeros(2, 3), ENTRY, "x", rows)
    assert [attr.group_name for attr in features.get_all_tensor_attrs()] == [INDUSTRY]
    assert features.remove_tensor(TensorAttr(INDUSTRY, "x", None))
    with pytest.raises(KeyError):
        features.get_tensor(INDUSTRY, "x", None)
    assert not features.remove_tensor(TensorAttr(INDUSTRY, "x", None))


def test_the_feature_store_passes_the_checks_of_pyg() -> None:
    """What PyG's own suite asks of a feature store, of ours: indices, views, deletion."""
    features, tensor = PointFeatures({}), torch.arange(9.0).reshape(3, 3)
    rows = torch.tensor([2, 0, 1])
    attr = TensorAttr("codes", "x", rows)
    assert features.put_tensor(tensor, attr)
    assert torch.equal(features.get_tensor(attr), tensor)
    check_reading(features, "codes", "x", tensor[torch.argsort(rows)])
    assert features.update_tensor(torch.zeros(3, 3), "codes", "x", None)
    assert not features["codes", "x", :].any()
    del features["codes", "x", rows]
    with pytest.raises(KeyError):
        _ = features["codes", "x", rows]
    features["codes", None, None] = tensor
    assert torch.equal(features["codes"](), tensor)
    del features["codes"]
    with pytest.raises(KeyError):
        _ = features["codes"]()


def test_the_backends_survive_pickling() -> None:
    graph = pickle.loads(pickle.dumps(ExportedGraph(GRAPH)))
    for attr in graph.get_all_edge_attrs():
        row, column = graph.get_edge_index(attr)
        assert torch.equal(torch.stack([row, column]), relations(GRAPH)[attr.edge_type])


class _Changed:
    location = "graph.lbug"

    def graph_version(self, vintage: str) -> str:
        return f"{vintage}-2"


def test_a_graph_that_changed_since_the_export_is_noticed() -> None:
    store = cast(GraphStore, _Changed())
    require_current(dataclasses.replace(GRAPH, version="2022-2"), store)
    with pytest.raises(DatabaseError, match=r"changed since it was exported(.|\n)*graph\.lbug"):
        require_current(GRAPH, store)


def test_a_part_of_the_codes_is_what_a_database_without_the_others_exports(tmp_path: Path) -> None:
    """Loading the smaller taxonomy is the reference: the same nodes, edges and numbers."""
    whole = wide_taxonomy()
    leaves = [i.code for i in whole.industries if len(i.code) == 6]
    fewer = without_codes(whole, leaves[1:9])
    exports = []
    for name, taxonomy in (("whole", whole), ("fewer", fewer)):
        with open_store(str(tmp_path / name)) as store:
            store.migrate()
            store.load(taxonomy)
            exports.append(store.export_graph("2022"))
    expected = exports[1]
    cut = of_codes(exports[0], {industry.code for industry in fewer.industries})
    assert (cut.codes, cut.entries) == (expected.codes, expected.entries)
    assert len(cut.codes) < len(exports[0].codes)
    assert len(cut.entries) < len(exports[0].entries)
    found, known = relations(cut), relations(expected)
    assert found.keys() == known.keys()
    assert all(torch.equal(found[relation], known[relation]) for relation in known)
    place = dict(zip(exports[0].entries, exports[0].entry_place.tolist(), strict=True))
    assert cut.entry_place.tolist() == [place[key] for key in cut.entries]


def test_entries_leave_with_their_edges() -> None:
    graph = small_graph(small_tree())
    kept = set(graph.entries[::3])
    fewer = without_entries(graph, kept)
    assert fewer.entries == graph.entries[::3]
    assert fewer.edges[CLASSIFIED_AS][1].tolist() == graph.edges[CLASSIFIED_AS][1][::3].tolist()
    assert fewer.edges[CLASSIFIED_AS][0].tolist() == list(range(len(kept)))
    assert fewer.codes == graph.codes
