"""Load, write-back and nearest codes of one database, with vectors that are hard for an index.

    python benchmarks/database.py --database FILE|URI --source DIR [--queries 200]

The database must be empty and keeps NAICS 2022 and 2017, each with a set of random vectors (random
directions, radii .5 to 5; 64 and 32 dimensions): no code lies near another. Recall: how many
of the ten six-digit codes of a scan in numpy are among the ten of the database.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph.geometry import lorentz
from naics_graph.store.contract import EmbeddingRows, EmbeddingSetInfo, GraphStore, NearestRequest
from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.sources import read_taxonomy

K = 10
WARM = 300
Points = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", required=True, help="an empty database")
    parser.add_argument("--source", type=Path, required=True, help="folder of the workbooks")
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    newest, older = (read_taxonomy(options.source, v, None) for v in ("2022", "2017"))
    with open_store(options.database) as store:
        if store.vintages():
            print(f"{store.location} is not empty", file=sys.stderr)
            return 2
        print(f"{store.location}\n\n| what | seconds |\n|---|---|")
        for name, taxonomy in (("load 2022", newest), ("again", newest), ("load 2017", older)):
            print(f"| {name} | {store.load(taxonomy).seconds:.2f} |")
        _timed("read back 2022", lambda: store.taxonomy("2022"))
        _timed("export 2022", lambda: store.export_graph("2022"))
        points = _publish(store, newest, "newest", 64)
        print("\n| nearest | p50 ms | p95 ms | recall@10 |\n|---|---|---|---|")
        _nearest(store, newest, points, options.queries)
        _publish(store, older, "older", 32)
        print("| with 2017 active too | | | |")
        _nearest(store, newest, points, options.queries)
    return 0


def _timed(what: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    work()
    print(f"| {what} | {time.perf_counter() - started:.2f} |")


def _points(number: int, dims: int, seed: int) -> Points:
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(number, dims))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radius = generator.uniform(0.5, 5.0, (number, 1))
    return np.hstack([np.cosh(radius), np.sinh(radius) * directions])


def _publish(store: GraphStore, taxonomy: Taxonomy, name: str, dims: int) -> Points:
    points = _points(len(taxonomy.industries), dims, 0)
    info = EmbeddingSetInfo(name, taxonomy.vintage, "2026-01-01", dims, 1.0, "0" * 64, "0" * 64)
    rows = EmbeddingRows(
        codes=[industry.code for industry in taxonomy.industries],
        embedding=points,
        radius=np.arccosh(points[:, 0]),
        poincare=points[:, 1:3] / (1 + points[:, :1]),
        knn=lorentz.knn_vectors(torch.from_numpy(points)).numpy(),
        moved=np.zeros(len(points)),
    )
    _timed(f"publish {taxonomy.vintage}", lambda: store.publish(info, rows))
    _timed(f"activate {taxonomy.vintage}", lambda: store.activate_set(name))
    return points


def _nearest(store: GraphStore, taxonomy: Taxonomy, points: Points, number: int) -> None:
    codes = np.array([industry.code for industry in taxonomy.industries])
    levels = np.array([industry.level for industry in taxonomy.industries])
    queries = _points(WARM + number, points.shape[1] - 1, 1)
    for level, exact in ((6, False), (6, True), (None, False), (5, False), (2, False)):
        among = np.flatnonzero((levels == level) if level else levels > 0)
        times, recalls = [], []
        for query in queries:
            knn = lorentz.knn_query(torch.from_numpy(query)).numpy()
            asked = NearestRequest(taxonomy.vintage, query, knn, K, level, exact=exact)
            started = time.perf_counter()
            found = store.nearest(asked)
            times.append(1000 * (time.perf_counter() - started))
            inner = points[among, 1:] @ query[1:] - points[among, 0] * query[0]
            best = codes[among[np.argsort(-inner)[:K]]]
            recalls.append(len({n.code for n in found} & set(best)) / K)
        name = f"level {level or 'any'}{', exact' if exact else ''}"
        p50, p95 = statistics.median(times[WARM:]), float(np.quantile(times[WARM:], 0.95))
        print(f"| {name} | {p50:.2f} | {p95:.2f} | {np.mean(recalls):.4f} |")


if __name__ == "__main__":
    raise SystemExit(main())
