"""Figures of the five baselines, fitted once for the same texts and kept.

The SVM alone takes more than a minute, and nothing in it changes from one training run to the next:
the figures are cached as JSON under a hash of everything they depend on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import sklearn
from numpy.typing import NDArray

from naics_graph.evaluate.baselines import (
    RECIPES,
    Baseline,
    BaselineTexts,
    LinearSvm,
    MiniLMCosine,
    MiniLMNeighbours,
    TfidfNeighbours,
    TrigramHashing,
)
from naics_graph.evaluate.retrieval import RetrievalMetrics
from naics_graph.runs import write_json
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.model import Taxonomy

if TYPE_CHECKING:
    from naics_graph.evaluate.systems import Bench


class Encoder(Protocol):
    """What is asked of a backbone (`naics_graph.encode.cache.CachedBackbone`)."""

    @property
    def sha256(self) -> str:
        """Of its weights."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """(n, h) unit vectors."""


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """Rank figures of one baseline; `dim` is the length of its text vectors."""

    name: str
    dim: int
    metrics: RetrievalMetrics


def baseline_figures(
    taxonomy: Taxonomy,
    bench: Bench,
    encoder: Encoder,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[BaselineFigures]:
    """Fit and score every baseline, or read the figures where nothing changed.

    Args:
        taxonomy: its texts, validation entries left out.
        bench: the labelled texts and candidates.
        encoder: the default backbone; it is asked for nothing when the figures are cached.
        cache: folder of the cached figures; None fits anew.
        progress: called as (what, done, total).
    """
    texts = BaselineTexts.of(taxonomy)
    path = None if cache is None else cache / f"{_key(texts, bench, encoder.sha256)}.json"
    if path is not None and path.is_file():
        return _from_json(path)
    report = progress or _silent
    figures = []
    builders = _builders(texts, encoder, progress)
    for done, (name, build) in enumerate(builders.items()):
        report(f"baselines: {name}", done, len(builders))
        baseline = build()
        metrics = bench.measure(baseline.scores(bench.texts))
        figures.append(BaselineFigures(name, baseline.dim, metrics))
        report(f"baselines: {name}", len(builders), len(builders))
    if path is not None:
        write_json(path, [dataclasses.asdict(figure) for figure in figures])
    return figures


def _builders(
    texts: BaselineTexts, encoder: Encoder, progress: Progress | None
) -> dict[str, Callable[[], Baseline]]:
    def encode(wanted: Sequence[str]) -> NDArray[np.float32]:
        return encoder.encode(wanted, progress)

    return {
        TrigramHashing.name: lambda: TrigramHashing(texts),
        MiniLMCosine.name: lambda: MiniLMCosine(texts, encode),
        TfidfNeighbours.name: lambda: TfidfNeighbours(texts),
        MiniLMNeighbours.name: lambda: MiniLMNeighbours(texts, encode),
        LinearSvm.name: lambda: LinearSvm(texts),
    }


def _key(texts: BaselineTexts, bench: Bench, weights: str) -> str:
    queries = [dataclasses.astuple(query) for query in bench.queries]
    parts = [RECIPES, sklearn.__version__, weights, dataclasses.astuple(texts), queries]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _from_json(path: Path) -> list[BaselineFigures]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [BaselineFigures(r["name"], r["dim"], RetrievalMetrics(**r["metrics"])) for r in rows]


def _silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""
