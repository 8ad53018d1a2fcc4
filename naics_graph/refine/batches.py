"""Batches of queries, and the subgraphs of the codes they are asked of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from naics_graph.distributed import World
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.database import DatabaseGraph, DatabaseSampler
from naics_graph.refine.graph import ENTRY, INDUSTRY, ExportedGraph, PointFeatures
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.pyg import HeteroData, NodeLoader
from naics_graph.refine.sampler import LeaveOneOut, SubgraphSampler
from naics_graph.store.contract import GraphStore


def subgraph_batches(
    inputs: RefineInputs,
    config: RefineConfig,
    seed: int,
    *,
    store: GraphStore | None = None,
    world: World | None = None,
) -> Iterator[HeteroData]:
    """Batches of queries in an order drawn from `seed`, as subgraphs around this process's codes.

    `batch["industry"].input_id` are the rows of its queries, those of all processes; `n_id` the
    codes and entries in it, first the codes of `world.shard(n)` in their order. A batch lacks the
    entries and exclusions its queries came from, and what dropout leaves out: with either, a code
    hears in its process what it hears where one process has them all.

    The `database` sampler draws in the first process, which sends the others their parts.

    Args:
        inputs: points, graph and queries.
        config: how many neighbours, and who draws them.
        seed: of the order and of the draws.
        store: what the graph was exported from, in the first process; `database` needs it.
        world: the processes that share the batches.

    Raises:
        ValueError: the sampler is `database` and there is no store.
        DatabaseError: `database` alone, the vintage was loaded anew since the export.
    """
    world = world or World()
    if config.sampler == "cached":
        return iter(_loader(inputs, config, seed, world, ExportedGraph(inputs.graph)))
    if not world.is_main:
        return _sent(world, -(-len(inputs.query_code) // config.batch_size))
    if store is None:
        raise ValueError("refine.sampler is database: the first process needs the store")
    graph = DatabaseGraph(store, inputs.graph)
    everybody = [dataclasses.replace(world, rank=rank) for rank in range(world.size)]
    parts = zip(*(_loader(inputs, config, seed, one, graph) for one in everybody), strict=True)
    return (world.broadcast(part)[0] for part in parts)


def _sent(world: World, count: int) -> Iterator[HeteroData]:
    """The batches the first process draws for this one."""
    for _ in range(count):
        parts: tuple[HeteroData, ...] = world.broadcast()
        yield parts[world.rank]


def _loader(
    inputs: RefineInputs,
    config: RefineConfig,
    seed: int,
    world: World,
    graph: ExportedGraph | DatabaseGraph,
) -> NodeLoader:
    features = PointFeatures({INDUSTRY: inputs.code_points, ENTRY: inputs.entry_points})
    depth = torch.from_numpy(inputs.tree.depth)
    features.put_tensor(depth, group_name=INDUSTRY, attr_name="depth", index=None)
    kind: Any = SubgraphSampler if isinstance(graph, ExportedGraph) else DatabaseSampler
    sampler = kind(
        graph,
        config.fan_out,
        seed=seed,
        around=torch.arange(len(inputs.code_points))[world.shard(len(inputs.code_points))],
        leave_out=LeaveOneOut(inputs.query_entry, inputs.query_exclusion),
        dropout=config.network.dropout,
    )
    return NodeLoader(
        (features, graph),
        sampler,
        input_nodes=(INDUSTRY, inputs.query_code),
        input_id=torch.arange(len(inputs.query_code)),
        batch_size=config.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )
