"""Answering times and recall of a trained database, medians beside a reference in the same run.

    python benchmarks/search.py --database FILE|URI [--queries 300] [--vintage 2022] [--no-text]

Vector given: one `store.nearest` (k = 10, six-digit codes) per stored code, by the index and by the
exact scan; the reference is the same answer in numpy over all points in memory, which no database
beats. Recall: how many of the ten codes of the exact scan are among the first ten by the index.
Text: `search` from the text, model and backbone loaded, one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph import connect
from naics_graph.geometry import lorentz
from naics_graph.search.search import Scope, Searcher, search_point
from naics_graph.store.contract import EmbeddingSetInfo, GraphStore

K = 10
WARM = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", help="a trained database; default as the commands have it")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--vintage")
    parser.add_argument("--no-text", action="store_true", help="leave the text search out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with connect(options.database) as handle:
        searcher = handle.searcher
        info = searcher.active_set(searcher.vintage(options.vintage))
        print(f"{handle.store.location}, set {info.id}, d = {info.dims}, {os.cpu_count()} cores\n")
        print("| what | p50 ms | p95 ms |\n|---|---|---|")
        _vectors(handle.store, info, options.queries)
        if not options.no_text:
            _texts(searcher, info, min(options.queries, 100))


def _vectors(store: GraphStore, info: EmbeddingSetInfo, number: int) -> None:
    codes, points = store.read_set(info.id)
    leaves = np.array([len(code) == 6 for code in codes])
    queries = _queries(points, number, info.curvature)
    scope = Scope(level=6, limit=K)

    def ask(exact: bool) -> Iterator[list[str]]:
        wanted = dataclasses.replace(scope, exact=exact)
        for query in queries:
            found = search_point(store, info, query, wanted)
            yield [measured.neighbour.code for measured in found]

    memory = torch.from_numpy(points[leaves])
    names = [code for code, leaf in zip(codes, leaves, strict=True) if leaf]

    def in_numpy() -> Iterator[list[str]]:
        for query in queries:
            distance = lorentz.pairwise_distance(
                torch.from_numpy(query)[None], memory, info.curvature
            )[0]
            yield [names[i] for i in torch.topk(-distance, K).indices.tolist()]

    truth = _timed("reference: all points in memory, no database", in_numpy)
    index = _timed("vector given, index", lambda: ask(exact=False))
    scan = _timed("vector given, exact scan", lambda: ask(exact=True))
    print()
    print(f"recall@{K} of the index against the exact scan: {_recall(index, scan):.4f}")
    print(f"recall@{K} of the exact scan against memory: {_recall(scan, truth):.4f}\n")


def _texts(searcher: Searcher, info: EmbeddingSetInfo, number: int) -> None:
    taxonomy = searcher.store.taxonomy(info.vintage)
    texts = [entry.text for entry in taxonomy.entries][:: max(1, len(taxonomy.entries) // number)]
    texts = texts[:number] or [industry.title for industry in taxonomy.industries][:number]
    model = searcher.model(info)
    print("| what | p50 ms | p95 ms |\n|---|---|---|")

    def encode() -> Iterator[list[str]]:
        for text in texts:
            model.encode([text])
            yield []

    def search() -> Iterator[list[str]]:
        for text in texts:
            yield [hit.code for hit in searcher.search(text, vintage=info.vintage).results]

    _timed("text to point, one thread", encode)
    _timed("search from text, one thread", search)


def _queries(points: NDArray[np.float64], number: int, curvature: float) -> NDArray[np.float64]:
    """Points near the codes, as the texts of a user are: stored points moved by a tenth."""
    random = np.random.default_rng(0)
    chosen = torch.from_numpy(points[random.integers(len(points), size=number)])
    tangent = lorentz.logmap0(chosen, curvature)
    noise = torch.from_numpy(random.normal(size=tuple(tangent.shape)))
    noise *= 0.1 * tangent.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    moved: NDArray[np.float64] = lorentz.expmap0(tangent + noise, curvature).numpy()
    return moved


def _timed(what: str, ask: Callable[[], Iterator[list[str]]]) -> list[list[str]]:
    for _, _ in zip(range(WARM), ask(), strict=False):
        pass
    found, seconds = [], []
    started = time.perf_counter()
    for answer in ask():
        seconds.append(time.perf_counter() - started)
        found.append(answer)
        started = time.perf_counter()
    p95 = statistics.quantiles(seconds, n=20)[-1]
    print(f"| {what} | {1e3 * statistics.median(seconds):.2f} | {1e3 * p95:.2f} |")
    return found


def _recall(found: Sequence[Sequence[str]], truth: Sequence[Sequence[str]]) -> float:
    shared = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
    return shared / sum(len(b) for b in truth)


if __name__ == "__main__":
    main()
