"""The benchmark's queries with neighbours: they hear entries, and in training never their own."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from controls import NEAREST, Attached, attached, propagated, toward_entries, trained
from torch import Tensor

from naics_graph.geometry import lorentz
from naics_graph.refine.graph import CLASSIFIED_AS, HAS_CHILD
from naics_graph.refine.layers import LorentzConv
from naics_graph.refine.network import HGCNConfig
from tests.refine.test_trainer import CONFIG, CURVATURE, GRAPH, TREE, inputs

SHAPE = HGCNConfig(dropout=0.0)


@pytest.fixture(params=[False, True], ids=["the codes' relation", "a relation of its own"])
def network(request: pytest.FixtureRequest) -> Attached:
    torch.manual_seed(0)
    return Attached(SHAPE, inputs(), own=request.param)


def test_it_starts_as_the_identity_and_hears_the_nearest_entries(
    network: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.eval()
    texts = inputs().query_points
    assert torch.allclose(network.refine_queries(texts), texts, atol=1e-9)
    with torch.no_grad():
        (layer,) = network.convolutions
        assert isinstance(layer, LorentzConv)
        layer.gate.fill_(1.0)
        before = network.refine_queries(texts[:1])
        near = network.nearest(texts[:1])[0].tolist()
        assert 0 in near  # Not in training: an entry that says the same is an answer.
        expected = lorentz.pairwise_distance(texts[:1], network.entries, CURVATURE)[0]
        assert set(near) == set(expected.argsort()[:NEAREST].tolist())
        # An entry that is moved might become a neighbour: these stay the ones heard.
        monkeypatch.setattr(network, "nearest", lambda _: torch.tensor([near]))
        for entry in range(len(network.entries)):
            kept = network.entries.clone()
            network.entries[entry] = lorentz.expmap0(torch.zeros(6).double(), CURVATURE)
            changed = not torch.allclose(network.refine_queries(texts[:1]), before, atol=1e-9)
            assert changed == (entry in near)
            network.entries = kept


def test_no_step_of_the_training_shows_a_query_an_entry_that_says_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trainer is watched: what is heard in every step, beside the rows of that step."""
    seen: list[tuple[set[int], set[int]]] = []
    asked: list[Tensor] = []
    hide, nearest = Attached.hide, Attached.nearest

    def watched_hide(self: Attached, rows: Tensor) -> None:
        asked.append(rows)
        hide(self, rows)

    def watched_nearest(self: Attached, points: Tensor) -> Tensor:
        found = nearest(self, points)
        if self.training:
            own = self.own[asked[-1]]
            seen.append((set(own[own >= 0].tolist()), set(found.flatten().tolist())))
            assert len(points) == len(asked[-1])
        return found

    monkeypatch.setattr(Attached, "hide", watched_hide)
    monkeypatch.setattr(Attached, "nearest", watched_nearest)
    given = inputs()
    config = dataclasses.replace(CONFIG, network=SHAPE)
    result = trained(given, config, lambda: Attached(SHAPE, given, own=True), seed=0)
    steps = -(-len(given.query_code) // config.batch_size) * config.epochs
    assert len(seen) == steps
    assert all(own and not own & heard for own, heard in seen)
    assert not result.network.training


def test_without_hiding_a_query_would_hear_itself(network: Attached) -> None:
    """The plant: what the test above looks for is there if nothing is hidden."""
    rows = torch.arange(8)
    network.train()
    points = inputs().query_points[rows]
    assert set(rows.tolist()) <= set(network.nearest(points).flatten().tolist())
    network.hide(rows)
    assert not set(rows.tolist()) & set(network.nearest(points).flatten().tolist())
    network.eval()
    assert set(rows.tolist()) <= set(network.nearest(points).flatten().tolist())


def test_unlearned_controls_move_toward_what_they_hear_and_a_lone_code_stays() -> None:
    given = inputs()
    cut = dataclasses.replace(
        GRAPH, edges={**GRAPH.edges, HAS_CHILD: GRAPH.edges[HAS_CHILD][:, 1:]}
    )
    alone = int(GRAPH.edges[HAS_CHILD][1, 0])
    lone = dataclasses.replace(
        GRAPH,
        edges={
            **cut.edges,
            HAS_CHILD: cut.edges[HAS_CHILD][:, (cut.edges[HAS_CHILD] != alone).all(axis=0)],
        },
    )
    moved = propagated(given.code_points, lone, 0.3, CURVATURE)
    torch.testing.assert_close(moved[alone], given.code_points[alone])
    parent, child = torch.from_numpy(lone.edges[HAS_CHILD])
    before = lorentz.distance(given.code_points[parent], given.code_points[child], CURVATURE)
    assert lorentz.distance(moved[parent], moved[child], CURVATURE).mean() < before.mean()
    entry, code = torch.from_numpy(GRAPH.edges[CLASSIFIED_AS])
    assert torch.equal(
        toward_entries(given.code_points, GRAPH, given.entry_points, 0.0, CURVATURE).round(
            decimals=9
        ),
        given.code_points.round(decimals=9),
    )
    there = toward_entries(given.code_points, GRAPH, given.entry_points, 1.0, CURVATURE)
    tangent = lorentz.logmap0(given.entry_points, CURVATURE)
    first = int(code[0])
    mean = tangent[entry[code == first]].mean(dim=0)
    torch.testing.assert_close(lorentz.logmap0(there, CURVATURE)[first], mean)
    last = int(torch.nonzero(torch.from_numpy(TREE.depth) == 5)[-1])
    torch.testing.assert_close(there[last], given.code_points[last])  # It has no entries.


def test_attached_queries_lie_between_themselves_and_their_nearest_entries() -> None:
    given = inputs()
    texts = lorentz.expmap0(torch.randn(9, 6, generator=torch.Generator().manual_seed(0)), 0.5)
    near = [
        lorentz.pairwise_distance(
            attached(texts.double(), given.entry_points, weight, CURVATURE),
            given.entry_points,
            CURVATURE,
        )
        .topk(NEAREST, largest=False)
        .values.mean()
        for weight in (0.0, 0.3, 3.0)
    ]
    assert near[0] > near[1] > near[2]
