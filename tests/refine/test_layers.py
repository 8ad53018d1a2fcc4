"""Laws of the Lorentz convolution, over curvatures and to radius 12."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from naics_graph.geometry import lorentz
from naics_graph.refine.graph import CLASSIFIED_AS, ENTRY, HAS_CHILD, INDUSTRY, relations
from naics_graph.refine.layers import LorentzConv, Weighting
from naics_graph.refine.network import RELATIONS
from naics_graph.store.contract import Relation
from tests.refine.graphs import graph_points, random_points, small_graph, small_tree

CURVATURES = [0.1, 0.5, 1.0, 2.0, 10.0]
DIM = 5
TREE = small_tree((2, 2, 1, 1, 2))
GRAPH = small_graph(TREE, entries_per_leaf=2)
EDGES = relations(GRAPH)
DEPTH = {
    INDUSTRY: torch.from_numpy(TREE.depth),
    ENTRY: torch.full((len(GRAPH.entries),), 5),
}


def open_layer(c: float, *, weighting: Weighting = "attention") -> LorentzConv:
    """A layer with every gate open, every map off the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = LorentzConv(DIM, RELATIONS, c, weighting=weighting, noise=0.5)
        with torch.no_grad():
            layer.gate.uniform_(0.3, 0.9)
            layer.sharpness.uniform_(0.5, 1.5)
            layer.bias.normal_(std=0.1)
    return layer


def by_loops(
    layer: LorentzConv, points: Mapping[str, Tensor], edges: Mapping[Relation, Tensor]
) -> dict[str, Tensor]:
    """The formula of the layer's docstring, node by node."""
    c = layer.curvature
    moved = {}
    for node_type, own in points.items():
        rows = []
        for i, x in enumerate(own):
            row = int(DEPTH[node_type][i]) - 1
            heard = [x, layer.message("self", x[None])[0]]
            weights = [1.0, float(layer.gates("self")[row])]
            for (source, name, target), pairs in edges.items():
                speakers = [j for j, k in pairs.T.tolist() if target == node_type and k == i]
                if not speakers:
                    continue
                messages = layer.message(name, points[source][speakers])
                distance = torch.stack([lorentz.distance(x, m, c) for m in messages])
                sharpness = layer.sharpness[1 + RELATIONS.index(name)]
                if layer.weighting == "degree":
                    sharpness = torch.zeros_like(sharpness)
                shares = torch.softmax(-sharpness * distance, dim=0)
                heard += list(messages)
                weights += (layer.gates(name)[row] * shares).tolist()
            rows.append(
                lorentz.centroid(torch.stack(heard), torch.tensor(weights, dtype=torch.float64), c)
            )
        moved[node_type] = torch.stack(rows)
    return moved


@pytest.mark.parametrize("weighting", ["attention", "degree"])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_the_layer_is_its_formula_node_by_node(c: float, weighting: Weighting) -> None:
    layer, points = open_layer(c, weighting=weighting), graph_points(GRAPH, DIM, c)
    wanted = by_loops(layer, points, EDGES)
    for node_type, moved in layer(points, EDGES, DEPTH).items():
        torch.testing.assert_close(moved, wanted[node_type], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("c", CURVATURES)
def test_a_closed_gate_is_the_identity_and_can_open(c: float) -> None:
    layer = LorentzConv(DIM, RELATIONS, c, weighting="attention")
    points = graph_points(GRAPH, DIM, c)
    moved = layer(points, EDGES, DEPTH)
    for node_type, own in points.items():
        torch.testing.assert_close(moved[node_type], own, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.isolated(points[INDUSTRY]), points[INDUSTRY])
    target = random_points(len(GRAPH.codes), DIM, c, seed=9)
    lorentz.distance(moved[INDUSTRY], target, c).sum().backward()  # type: ignore[no-untyped-call]
    assert layer.gate.grad is not None
    for relation, pairs in EDGES.items():
        for depth in set(DEPTH[relation[2]][pairs[1]].tolist()):
            felt = layer.gate.grad[1 + RELATIONS.index(relation[1]), depth - 1]
            assert (abs(float(felt)) > 1e-6) == (relation[2] == INDUSTRY)
    assert (layer.gate.grad[0].abs() > 1e-6).all()


def test_a_gate_pushed_below_zero_comes_back() -> None:
    layer = open_layer(1.0)
    with torch.no_grad():
        layer.gate[0, 3] = -0.3
    assert float(layer.gates("self")[3].detach()) == 0.0
    layer.project()
    assert float(layer.gate[0, 3].detach()) == 0.0
    layer.gates("self")[3].backward()  # type: ignore[no-untyped-call]
    assert layer.gate.grad is not None
    assert float(layer.gate.grad[0, 3]) == 1.0


@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_results_are_on_the_sheet(c: float) -> None:
    points = {
        t: random_points(len(p), DIM, c, radius=6.0) for t, p in graph_points(GRAPH, DIM, c).items()
    }
    for moved in open_layer(c)(points, EDGES, DEPTH).values():
        assert float(lorentz.sheet_error(moved, c).max()) < 1e-12


def farthest(
    layer: LorentzConv, points: Mapping[str, Tensor], edges: Mapping[Relation, Tensor]
) -> dict[str, Tensor]:
    """(n_t,) the greatest radius among a node, its own message and those it hears, by node type."""
    c = layer.curvature
    most = {
        t: torch.maximum(lorentz.radius(own, c), lorentz.radius(layer.message("self", own), c))
        for t, own in points.items()
    }
    for (source, name, target), (speaker, listener) in edges.items():
        heard = lorentz.radius(layer.message(name, points[source]), c)[speaker]
        most[target] = most[target].scatter_reduce(0, listener, heard, "amax")
    return most


@pytest.mark.parametrize("weighting", ["attention", "degree"])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_no_node_goes_farther_out_than_what_it_averages(c: float, weighting: Weighting) -> None:
    layer, points = open_layer(c, weighting=weighting), graph_points(GRAPH, DIM, c)
    for gate in (0.5, 50.0):
        layer.gate.fill_(gate)
        most = farthest(layer, points, EDGES)
        for node_type, moved in layer(points, EDGES, DEPTH).items():
            assert (lorentz.radius(moved, c) <= most[node_type] + 1e-9).all()
    alone = random_points(9, DIM, c, radius=6.0, seed=3)
    reach = farthest(layer, {INDUSTRY: alone}, {})[INDUSTRY]
    assert (lorentz.radius(layer.isolated(alone), c) <= reach + 1e-9).all()


@pytest.mark.parametrize("radius", [0.1, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_nodes_at_one_point_stay_there_at_any_radius(c: float, radius: float) -> None:
    """With maps that are the identity: nothing normalises a radius."""
    layer = LorentzConv(DIM, RELATIONS, c, weighting="attention", noise=0.0)
    layer.gate.uniform_(0.3, 0.9)
    layer.sharpness.fill_(1.0)
    direction = torch.nn.functional.normalize(
        torch.arange(1.0, DIM + 1, dtype=torch.float64), dim=0
    )
    point = lorentz.expmap0(radius * direction, c)
    points = {t: point.expand(len(d), DIM + 1) for t, d in DEPTH.items()}
    for moved in layer(points, EDGES, DEPTH).values():
        assert float(lorentz.distance(moved, point, c).max()) < 1e-6
        torch.testing.assert_close(lorentz.radius(moved, c), moved.new_full((len(moved),), radius))


@pytest.mark.parametrize("weighting", ["attention", "degree"])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_radii_follow_those_that_come_in(c: float, weighting: Weighting) -> None:
    layer, near = open_layer(c, weighting=weighting), graph_points(GRAPH, DIM, c)
    far = {t: lorentz.expmap0(2.0 * lorentz.logmap0(p, c), c) for t, p in near.items()}
    for node_type, moved in layer(near, EDGES, DEPTH).items():
        radius = lorentz.radius(moved, c)
        assert float(radius.max()) > 2.0 * float(radius.min())
        farther = lorentz.radius(layer(far, EDGES, DEPTH)[node_type], c)
        assert float(farther.mean()) > 1.2 * float(radius.mean())


@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_the_order_of_nodes_and_edges_does_not_matter(c: float) -> None:
    layer, points = open_layer(c), graph_points(GRAPH, DIM, c)
    plain = layer(points, EDGES, DEPTH)
    generator = torch.Generator().manual_seed(1)
    order = {t: torch.randperm(len(p), generator=generator) for t, p in points.items()}
    place = {t: torch.argsort(o) for t, o in order.items()}
    edges = {}
    for (source, name, target), pairs in reversed(EDGES.items()):
        renamed = torch.stack([place[source][pairs[0]], place[target][pairs[1]]])
        edges[source, name, target] = renamed[
            :, torch.randperm(renamed.shape[1], generator=generator)
        ]
    shuffled = layer(
        {t: p[order[t]] for t, p in points.items()},
        edges,
        {t: depth[order[t]] for t, depth in DEPTH.items()},
    )
    for node_type, moved in plain.items():
        torch.testing.assert_close(shuffled[node_type], moved[order[node_type]])


@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_a_node_without_neighbours_takes_the_same_map(c: float) -> None:
    """In a graph, alone, or in a batch of others: one map."""
    layer, points = open_layer(c), graph_points(GRAPH, DIM, c)
    alone = random_points(4, DIM, c, seed=5)
    beside = {INDUSTRY: torch.cat([points[INDUSTRY], alone]), ENTRY: points[ENTRY]}
    six_digit = torch.full((4,), 5)
    depth = {INDUSTRY: torch.cat([DEPTH[INDUSTRY], six_digit])}
    in_graph = layer(beside, EDGES, depth)[INDUSTRY][-4:]
    torch.testing.assert_close(layer.isolated(alone), in_graph)
    one_by_one = torch.cat([layer.isolated(point[None]) for point in alone])
    torch.testing.assert_close(one_by_one, in_graph)
    none = {HAS_CHILD: torch.empty(2, 0, dtype=torch.int64)}
    no_edges = layer({INDUSTRY: alone}, none, {INDUSTRY: six_digit})
    torch.testing.assert_close(no_edges[INDUSTRY], in_graph)
    assert float(lorentz.distance(alone, in_graph, c).min()) > 1e-3


@pytest.mark.parametrize("radius", [0.0, 1e-9, 1.0, 6.0, 12.0])
@pytest.mark.parametrize("c", CURVATURES)
def test_values_and_gradients_are_finite_to_radius_12(c: float, radius: float) -> None:
    layer = LorentzConv(DIM, RELATIONS, c, weighting="attention")
    with torch.no_grad():
        layer.gate.fill_(0.5)
        layer.sharpness.fill_(1.0)
    directions = {
        t: torch.nn.functional.normalize(lorentz.logmap0(p, c), dim=1)
        for t, p in graph_points(GRAPH, DIM, c).items()
    }
    tangents = {t: (radius * u).requires_grad_() for t, u in directions.items()}
    moved = layer({t: lorentz.expmap0(v, c) for t, v in tangents.items()}, EDGES, DEPTH)
    total = lorentz.pairwise_distance(moved[INDUSTRY], moved[ENTRY], c).sum()
    total.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(total)
    for leaf in (*tangents.values(), *layer.parameters()):
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("relation", list(EDGES), ids=lambda r: r[1])
@torch.no_grad()
def test_every_relation_acts(relation: Relation) -> None:
    layer, points = open_layer(1.0), graph_points(GRAPH, DIM, 1.0)
    without = {r: pairs for r, pairs in EDGES.items() if r != relation}
    listener = relation[2]
    changed = (
        layer(points, EDGES, DEPTH)[listener] - layer(points, without, DEPTH)[listener]
    ).abs().sum(1) > 1e-9
    assert set(changed.nonzero().squeeze(1).tolist()) == set(EDGES[relation][1].tolist())


@torch.no_grad()
def test_relations_not_listened_to_do_nothing() -> None:
    points = graph_points(GRAPH, DIM, 1.0)
    deaf = LorentzConv(DIM, ["has_child"], 1.0, weighting="degree")
    deaf.gate.fill_(0.5)
    only = {HAS_CHILD: EDGES[HAS_CHILD]}
    assert torch.equal(deaf(points, EDGES, DEPTH)[INDUSTRY], deaf(points, only, DEPTH)[INDUSTRY])
    assert not torch.equal(
        deaf(points, only, DEPTH)[INDUSTRY],
        deaf(points, {CLASSIFIED_AS: EDGES[CLASSIFIED_AS]}, DEPTH)[INDUSTRY],
    )
