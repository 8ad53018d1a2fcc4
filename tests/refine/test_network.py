"""The whole network: identity at the start, subgraph = graph, no PyG where none is needed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from naics_graph.config import load_mapping
from naics_graph.errors import ConfigError
from naics_graph.refine.graph import ENTRY, INDUSTRY, ExportedGraph, PointFeatures
from naics_graph.refine.network import HGCNConfig
from naics_graph.refine.pyg import NodeLoader
from naics_graph.refine.sampler import SubgraphSampler
from tests.refine.graphs import graph_points, network, random_points, small_graph, small_tree

CURVATURES = [0.1, 0.5, 1.0, 2.0, 10.0]
DIM = 4
TREE = small_tree()
GRAPH = small_graph(TREE)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_it_starts_as_the_identity(c: float, layers: int) -> None:
    points = graph_points(GRAPH, DIM, c)
    fresh = network(c, layers, opened=False)
    refined = fresh.refine_codes(GRAPH, points[INDUSTRY], points[ENTRY])
    torch.testing.assert_close(refined, points[INDUSTRY], rtol=1e-9, atol=1e-9)
    queries = random_points(7, DIM, c)
    torch.testing.assert_close(fresh.refine_queries(queries), queries, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("c", CURVATURES)
@torch.no_grad()
def test_a_subgraph_of_all_neighbours_gives_what_the_whole_graph_gives(
    c: float, layers: int
) -> None:
    points = graph_points(GRAPH, DIM, c)
    made = network(c, layers)
    whole = made.refine_codes(GRAPH, points[INDUSTRY], points[ENTRY])
    graph = ExportedGraph(GRAPH)
    sampler = SubgraphSampler(graph, [-1] * layers, seed=0)
    loader = NodeLoader((PointFeatures(points), graph), sampler, input_nodes=INDUSTRY, batch_size=9)
    parts = []
    for batch in loader:
        depth = torch.from_numpy(TREE.depth)[batch[INDUSTRY].n_id]
        moved = made(batch.x_dict, batch.edge_index_dict, depth)
        parts.append(moved[: batch[INDUSTRY].batch_size])
    torch.testing.assert_close(torch.cat(parts), whole)


@torch.no_grad()
def test_weights_survive_safetensors() -> None:
    points, made = graph_points(GRAPH, DIM, 1.0), network(1.0, 2)
    other = network(1.0, 2, opened=False)
    other.load_state_dict(load(save(made.state_dict())))
    assert torch.equal(
        other.refine_codes(GRAPH, points[INDUSTRY], points[ENTRY]),
        made.refine_codes(GRAPH, points[INDUSTRY], points[ENTRY]),
    )


def test_gates_are_named_by_layer_and_relation() -> None:
    gates = network(1.0, 2).gates()
    assert len(gates) == 14
    assert {"gate.1.self", "gate.2.rev_classified_as"} <= set(gates)
    assert all(0.3 <= gate <= 0.9 for gate in gates.values())


def test_a_query_needs_no_pyg() -> None:
    """Answering a query must not wait seconds for PyTorch Geometric to import."""
    program = (
        "import sys, torch; from naics_graph.refine.network import HGCNConfig, RefineNetwork;"
        "RefineNetwork(HGCNConfig(), 2, 1.0).refine_queries(torch.tensor([[1.0, 0.0, 0.0]]));"
        "sys.exit('torch_geometric' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": 3}, "it must be 1 or 2"),
        ({"relations": ["has_kid"]}, "names of has_child"),
        ({"relations": ["excludes", "excludes"]}, "distinct"),
        ({"weighting": "mean"}, "attention, degree"),
        ({"dropout": 1.0}, "in \\[0, 1\\)"),
    ],
)
def test_shapes_that_do_not_exist_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_mapping(HGCNConfig, values)
