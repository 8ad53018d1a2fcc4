"""Seeds per second of subgraph sampling with features, out of loaded databases.

    python benchmarks/sampling.py --database FILE_OR_URI ... [--vintage 2022] [--fan-out 10 5]

Seeds are all codes and entries in batches of 1,024; where the database is asked in every batch, a
random part of the entries, whose time is scaled up. Features are in memory, 64 dimensions.

cached: the product's path, neighbours drawn in memory from topology exported once; the next column
charges it with the export, and with the build of backend and sampler from what was exported.
database: the same subgraphs drawn in Cypher. pyg: PyTorch Geometric alone, in memory; its
NeighborLoader needs pyg-lib or torch-sparse, and without them this is `k_hop_subgraph`, which draws
nothing and returns whole neighbourhoods. loops: the same fan-out with dictionaries and
`random.sample`. one query: the neighbourhood of every batch by one Cypher query, and the fan-out
drawn from what it returns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.utils import k_hop_subgraph

from naics_graph import settings
from naics_graph.geometry import lorentz
from naics_graph.refine.database import DatabaseGraph, DatabaseSampler
from naics_graph.refine.graph import (
    ENTRY,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    node_counts,
    relations,
)
from naics_graph.refine.pyg import NodeLoader
from naics_graph.refine.sampler import NeighbourSampler, SubgraphSampler
from naics_graph.store.contract import GraphExport, GraphStore, Relation
from naics_graph.store.open import open_store

BATCH = 1024
DIMS = 64
ASKED = 4 * BATCH
LABEL = {INDUSTRY: "Industry", ENTRY: "IndexEntry"}
ONE_QUERY = """
UNWIND $keys AS key
MATCH (s:{label} {{key: key}})-[:HAS_CHILD|EXCLUDES|CLASSIFIED_AS]-(a)
MATCH (a)-[:HAS_CHILD|EXCLUDES|CLASSIFIED_AS]-(b)
RETURN key, a.key AS first, collect(DISTINCT b.key) AS second
"""
Work = Callable[[str, Tensor], None]
T = TypeVar("T")


def main() -> None:
    """Measure each database and print a Markdown table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    print(f"fan-out {arguments.fan_out}, batches of {BATCH}, {DIMS} dimensions; seeds per second\n")
    columns = ("cached", "with export", "database", "pyg", "loops", "one query")
    print("| graph | export s | build s | " + " | ".join(columns) + " | MB per million edges |")
    print("|---" * (len(columns) + 4) + "|")
    for name in arguments.database or [settings.database()]:
        with open_store(settings.database(name), read_only=True) as store:
            _measure(store, arguments)


def _measure(store: GraphStore, arguments: argparse.Namespace) -> None:
    vintage = arguments.vintage or store.vintages()[-1]
    export, graph = _timed(lambda: store.export_graph(vintage), arguments.repeat)
    counts = node_counts(graph)
    total = sum(counts.values())
    generator = torch.Generator().manual_seed(0)
    points = {
        t: lorentz.expmap0(torch.randn(n, DIMS, generator=generator, dtype=torch.float64), 1.0)
        for t, n in counts.items()
    }
    build, (exported, cached) = _timed(lambda: _built(graph, arguments.fan_out), arguments.repeat)
    database = DatabaseGraph(store, graph)
    there = DatabaseSampler(database, arguments.fan_out, seed=0)
    every = {t: torch.arange(n) for t, n in counts.items()}
    some = {t: torch.randperm(n, generator=generator)[:ASKED] for t, n in counts.items()}
    works: list[tuple[Work, dict[str, Tensor]]] = [
        (_loader(exported, cached, points), every),
        (_loader(database, there, points), some),
        (_pyg(graph, points, arguments.fan_out), every),
        (_loops(graph, points, arguments.fan_out), every),
        (_one_query(store, database, points, arguments.fan_out), some),
    ]
    seconds = [_scaled(work, seeds, counts, arguments.repeat) for work, seeds in works]
    seconds.insert(1, seconds[0] + export + build)
    edges = sum(pairs.shape[1] for pairs in relations(graph).values())
    cells = [f"{export:.2f}", f"{build:.2f}", *(f"{total / s:,.0f}" for s in seconds)]
    cells.append(f"{_bytes(exported, cached) / edges:.0f}")
    shown = f"{store.dialect}, {vintage}: {counts[INDUSTRY]:,} codes, {counts[ENTRY]:,} entries"
    print(f"| {shown}, {edges:,} edges | " + " | ".join(cells) + " |", flush=True)


def _built(graph: GraphExport, fan_out: list[int]) -> tuple[ExportedGraph, SubgraphSampler]:
    exported = ExportedGraph(graph)
    return exported, SubgraphSampler(exported, fan_out, seed=0)


def _scaled(work: Work, seeds: dict[str, Tensor], counts: dict[str, int], repeat: int) -> float:
    """Seconds for all nodes, from those for these seeds of each type."""
    return sum(
        _timed(lambda t=t, s=s: work(t, s), repeat)[0] * counts[t] / len(s)  # type: ignore[misc]
        for t, s in seeds.items()
    )


def _bytes(exported: ExportedGraph, cached: SubgraphSampler) -> int:
    """What topology and sampler hold in memory."""
    stored = [end for attr in exported.get_all_edge_attrs() for end in exported[attr]]
    size: int = sum(end.numel() * end.element_size() for end in stored)
    for incoming in cached.incoming.values():
        size += incoming.source.nbytes + incoming.start.nbytes + incoming.edge.nbytes
    return size


def _loader(
    graph: ExportedGraph | DatabaseGraph, sampler: NeighbourSampler, points: dict[str, Tensor]
) -> Work:
    features = PointFeatures(points)

    def work(node_type: str, seeds: Tensor) -> None:
        nodes = (node_type, seeds)
        for _ in NodeLoader((features, graph), sampler, input_nodes=nodes, batch_size=BATCH):
            pass

    return work


def _pyg(graph: GraphExport, points: dict[str, Tensor], fan_out: list[int]) -> Work:
    data = HeteroData()
    for node_type, tensor in points.items():
        data[node_type].x = tensor
    for relation, pairs in relations(graph).items():
        data[relation].edge_index = pairs
    try:
        from torch_geometric.loader import NeighborLoader

        next(iter(NeighborLoader(data, fan_out, input_nodes=(INDUSTRY, torch.arange(2)))))
    except ImportError:
        return _k_hop(data, len(fan_out))

    def work(node_type: str, seeds: Tensor) -> None:
        for _ in NeighborLoader(data, fan_out, input_nodes=(node_type, seeds), batch_size=BATCH):
            pass

    return work


def _k_hop(data: HeteroData, hops: int) -> Work:
    offset = {INDUSTRY: 0, ENTRY: data[INDUSTRY].num_nodes}
    whole = data.to_homogeneous()

    def work(node_type: str, seeds: Tensor) -> None:
        for batch in torch.split(seeds + offset[node_type], BATCH):
            nodes, *_ = k_hop_subgraph(
                batch, hops, whole.edge_index, relabel_nodes=True, num_nodes=whole.num_nodes
            )
            whole.x[nodes].sum()

    return work


def _loops(graph: GraphExport, points: dict[str, Tensor], fan_out: list[int]) -> Work:
    heard: dict[tuple[Relation, int], list[int]] = {}
    for relation, pairs in relations(graph).items():
        for source, target in pairs.T.tolist():
            heard.setdefault((relation, target), []).append(source)
    names = list(relations(graph))
    draw = random.Random(0)

    def work(node_type: str, seeds: Tensor) -> None:
        for batch in torch.split(seeds, BATCH):
            known = {(node_type, seed) for seed in batch.tolist()}
            _expand(known, heard, names, fan_out, draw)
            _join(points, known)

    return work


def _expand(
    known: set[tuple[str, int]],
    heard: dict[tuple[Relation, int], list[int]],
    names: list[Relation],
    fan_out: list[int],
    draw: random.Random,
) -> None:
    frontier = set(known)
    edges: list[tuple[Relation, int, int]] = []
    for count in fan_out:
        found = set()
        for node_type, node in frontier:
            for relation in names:
                if relation[2] != node_type:
                    continue
                sources = heard.get((relation, node), [])
                if 0 <= count < len(sources):
                    sources = draw.sample(sources, count)
                edges += [(relation, source, node) for source in sources]
                found |= {(relation[0], source) for source in sources}
        frontier = found - known
        known |= found


def _one_query(
    store: GraphStore, graph: DatabaseGraph, points: dict[str, Tensor], fan_out: list[int]
) -> Work:
    first_count, second_count = fan_out
    number: dict[str, tuple[str, int]] = {}
    for node_type, tensor in points.items():
        keys = graph.keys(node_type, np.arange(len(tensor)))
        number |= {key: (node_type, i) for i, key in enumerate(keys)}
    draw = random.Random(0)

    def drawn(keys: list[str], count: int) -> list[str]:
        return draw.sample(keys, count) if 0 <= count < len(keys) else keys

    def work(node_type: str, seeds: Tensor) -> None:
        query = ONE_QUERY.format(label=LABEL[node_type])
        for batch in torch.split(seeds, BATCH):
            keys = graph.keys(node_type, batch.numpy())
            around: dict[str, dict[str, list[str]]] = {}
            for key, first, second in _rows(store, query, keys):
                around.setdefault(key, {})[first] = second
            nodes = set(keys)
            for neighbours in around.values():
                for first in drawn(list(neighbours), first_count):
                    nodes |= {first, *drawn(neighbours[first], second_count)}
            # Entries of the validation role are in the answers, and nobody may learn from them.
            _join(points, {number[key] for key in nodes if key in number})

    return work


def _rows(store: GraphStore, query: str, keys: list[str]) -> Iterator[list[Any]]:
    """Rows of a query of this file, past the named queries of the product."""
    if store.dialect == "neo4j":
        connection = vars(store)["_connection"]
        return (list(row.values()) for row in connection.read(query, keys=keys))
    opened = vars(store)["_opened"]
    rows: Iterator[list[Any]] = iter(opened.execute(query, {"keys": keys}).get_all())
    return rows


def _join(points: dict[str, Tensor], nodes: set[tuple[str, int]]) -> None:
    for node_type, features in points.items():
        features[[node for t, node in nodes if t == node_type]].sum()


def _timed(work: Callable[[], T], repeat: int) -> tuple[float, T]:
    """Median seconds of some runs, and what the last returned."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", nargs="+", help="files or URIs; default as for naics-graph")
    parser.add_argument("--vintage")
    parser.add_argument("--fan-out", type=int, nargs=2, default=[10, 5])
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
