"""The five baselines on the validation role, beside the figures of DESIGN section 9.

    python benchmarks/baselines.py --source DIR --roles FILE

DIR holds the census workbooks, FILE is the frozen split. Fits all of them anew (the encoder's
vectors come from the cache where they are there) and ends with exit code 1 when one is further than
0.01 from its figure.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from naics_graph import settings
from naics_graph.encode.backbone import load_backbone
from naics_graph.encode.cache import CachedBackbone
from naics_graph.evaluate.baseline_rows import baseline_figures
from naics_graph.evaluate.queries import validation_queries
from naics_graph.evaluate.systems import Bench
from naics_graph.taxonomy.sources import read_taxonomy
from naics_graph.taxonomy.tree import Tree

EXPECTED = {
    "trigram hashing": (0.618, 0.520),
    "MiniLM cosine": (0.642, 0.512),
    "TF-IDF kNN": (0.684, 0.559),
    "MiniLM kNN": (0.716, 0.581),
    "linear SVM": (0.769, 0.685),
}
TOLERANCE = 0.01


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, score and print a Markdown table; 1 when a figure is not reproduced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True, help="folder of the workbooks")
    parser.add_argument("--roles", type=Path, required=True, help="the split")
    parser.add_argument("--vintage", default="2022")
    options = parser.parse_args(arguments)
    taxonomy = read_taxonomy(options.source, options.vintage, options.roles, "census")
    bench = Bench(Tree.of(taxonomy), validation_queries(taxonomy))
    encoder = CachedBackbone(load_backbone(), settings.vectors_dir())
    clock = _Clock()
    figures = baseline_figures(taxonomy, bench, encoder, progress=clock.tick)
    print(f"{len(bench.texts)} texts, {len(bench.codes)} candidates\n")
    print("| baseline | MRR | expected | top-1 | expected | hit@10 | LCA | s |")
    print("|---|---|---|---|---|---|---|---|")
    missed = 0
    for figure in figures:
        metrics, (mrr, top1) = figure.metrics, EXPECTED[figure.name]
        missed += abs(metrics.mrr - mrr) > TOLERANCE or abs(metrics.top1 - top1) > TOLERANCE
        print(
            f"| {figure.name} | {metrics.mrr:.3f} | {mrr:.3f} | {metrics.top1:.3f} | {top1:.3f} "
            f"| {metrics.hit10:.3f} | {metrics.lca_level:.2f} "
            f"| {clock.seconds[f'baselines: {figure.name}']:.0f} |"
        )
    return int(missed > 0)


class _Clock:
    """Seconds between the first and the last report of every phase."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def tick(self, what: str, done: int, total: int) -> None:
        """Take note of one progress report, and show the start of a phase."""
        del done, total
        if what not in self._started:
            self._started[what] = time.perf_counter()
            print(what, file=sys.stderr)
        self.seconds[what] = time.perf_counter() - self._started[what]


if __name__ == "__main__":
    sys.exit(main())
