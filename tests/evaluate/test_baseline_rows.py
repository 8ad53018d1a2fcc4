"""Figures of the baselines are computed once for the same texts, queries and weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from naics_graph.evaluate.baseline_rows import baseline_figures
from naics_graph.evaluate.queries import validation_queries
from naics_graph.evaluate.systems import Bench
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.tree import Tree
from tests.evaluate.small import small_taxonomy
from tests.evaluate.test_baselines import encode

NAMES = ["trigram hashing", "MiniLM cosine", "TF-IDF kNN", "MiniLM kNN", "linear SVM"]


class Encoder:
    """Random vectors; counts how often it is asked."""

    def __init__(self, sha256: str = "a") -> None:
        self.sha256, self.calls = sha256, 0

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        del progress
        self.calls += 1
        return encode(texts)


def bench_of(taxonomy: Taxonomy) -> Bench:
    return Bench(Tree.of(taxonomy), validation_queries(taxonomy))


def test_all_five_are_scored_and_reported() -> None:
    seen: list[tuple[str, int, int]] = []
    taxonomy = small_taxonomy()
    figures = baseline_figures(
        taxonomy,
        bench_of(taxonomy),
        Encoder(),
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    assert [figure.name for figure in figures] == NAMES
    assert figures[1].dim == 16
    assert all(0 < figure.metrics.mrr <= 1 for figure in figures)
    assert {what for what, _, _ in seen} == {f"baselines: {name}" for name in NAMES}


def test_figures_are_kept(tmp_path: Path) -> None:
    taxonomy = small_taxonomy()
    first = baseline_figures(taxonomy, bench_of(taxonomy), Encoder(), cache=tmp_path)
    idle = Encoder()
    assert baseline_figures(taxonomy, bench_of(taxonomy), idle, cache=tmp_path) == first
    assert idle.calls == 0


@pytest.mark.parametrize("changed", ["weights", "texts", "queries"])
def test_anything_they_depend_on_makes_them_anew(tmp_path: Path, changed: str) -> None:
    taxonomy = small_taxonomy()
    bench = bench_of(taxonomy)
    baseline_figures(taxonomy, bench, Encoder(), cache=tmp_path)
    encoder = Encoder("b" if changed == "weights" else "a")
    if changed == "texts":
        taxonomy = Taxonomy("2022", taxonomy.industries, entries=taxonomy.entries[1:])
    if changed == "queries":
        bench = Bench(Tree.of(taxonomy), validation_queries(taxonomy)[1:])
    baseline_figures(taxonomy, bench, encoder, cache=tmp_path)
    assert encoder.calls > 0
