"""Seeds per second of subgraph sampling with features, out of a loaded database.

    python benchmarks/sampling.py [--database FILE_OR_URI] [--vintage 2022] [--fan-out 10 5]

All codes and entries are seeds. `cached` is the product's path: topology exported once, neighbours
drawn in memory, features joined by PyG's NodeLoader; `with export` charges the export to it.
`loops` draws the same neighbourhoods with dictionaries and `random.sample`, without PyG.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

import torch

from naics_graph import settings
from naics_graph.geometry import lorentz
from naics_graph.refine.graph import (
    ENTRY,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    node_counts,
    relations,
)
from naics_graph.refine.pyg import NodeLoader
from naics_graph.refine.sampler import SubgraphSampler
from naics_graph.store.contract import GraphExport, Relation
from naics_graph.store.open import open_store

BATCH = 1024
DIMS = 64


def main() -> None:
    arguments = _arguments()
    with open_store(settings.database(arguments.database), read_only=True) as store:
        vintage = arguments.vintage or store.vintages()[-1]
        started = time.perf_counter()
        graph = store.export_graph(vintage)
        export = time.perf_counter() - started
        where = store.location
    counts = node_counts(graph)
    generator = torch.Generator().manual_seed(0)
    points = {
        t: lorentz.expmap0(torch.randn(n, DIMS, generator=generator, dtype=torch.float64), 1.0)
        for t, n in counts.items()
    }
    seeds = sum(counts.values())
    cached = _median(lambda: _cached(graph, points, arguments.fan_out), arguments.repeat)
    loops = _median(lambda: _loops(graph, points, arguments.fan_out), arguments.repeat)
    edges = ExportedGraph(graph)
    size = sum(e.numel() * e.element_size() for a in edges.get_all_edge_attrs() for e in edges[a])
    count = sum(pairs.shape[1] for pairs in relations(graph).values())
    print(f"{where}, {vintage}: {counts[INDUSTRY]} codes, {counts[ENTRY]} entries, {count} edges")
    print(f"fan-out {arguments.fan_out}, batches of {BATCH}, {DIMS} dimensions, median of runs")
    print(f"export            {export:8.3f} s, {size / count:.0f} MB per million edges")
    print(f"cached            {seeds / cached:8.0f} seeds/s")
    print(f"cached + export   {seeds / (cached + export):8.0f} seeds/s")
    print(f"loops             {seeds / loops:8.0f} seeds/s")


def _cached(graph: GraphExport, points: dict[str, torch.Tensor], fan_out: list[int]) -> None:
    edges, features = ExportedGraph(graph), PointFeatures(points)
    sampler = SubgraphSampler(edges, fan_out, seed=0)
    for node_type in points:
        for _ in NodeLoader((features, edges), sampler, input_nodes=node_type, batch_size=BATCH):
            pass


def _loops(graph: GraphExport, points: dict[str, torch.Tensor], fan_out: list[int]) -> None:
    heard: dict[tuple[Relation, int], list[int]] = {}
    for relation, pairs in relations(graph).items():
        for source, target in pairs.T.tolist():
            heard.setdefault((relation, target), []).append(source)
    names = list(relations(graph))
    draw = random.Random(0)
    for node_type, tensor in points.items():
        for first in range(0, len(tensor), BATCH):
            seeds = range(first, min(first + BATCH, len(tensor)))
            known = _expand({(node_type, seed) for seed in seeds}, heard, names, fan_out, draw)
            for other, features in points.items():
                features[[node for t, node in known if t == other]].sum()


def _expand(
    known: set[tuple[str, int]],
    heard: dict[tuple[Relation, int], list[int]],
    names: list[Relation],
    fan_out: list[int],
    draw: random.Random,
) -> set[tuple[str, int]]:
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
    return known


def _median(work: Callable[[], None], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", help="file or URI; default as for naics-graph")
    parser.add_argument("--vintage")
    parser.add_argument("--fan-out", type=int, nargs="+", default=[10, 5])
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
