"""What is scored, and how one system becomes one row: stages, tree figures, the database's answers.

Candidates are the six-digit codes of the vintage; tree figures are over all its codes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph.errors import ArtifactMismatchError
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.queries import LabelledQuery
from naics_graph.evaluate.retrieval import RetrievalMetrics, retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.store.contract import EmbeddingSetInfo, GraphStore, NearestRequest, Progress
from naics_graph.taxonomy.tree import Tree

if TYPE_CHECKING:
    from naics_graph.artifact import Stage

SEARCH_DEPTH: Final = 50
"""Answers asked of the database for every text; all other codes count as tied behind them."""

Kind = Literal["baseline", "stage", "search"]
Matrix = NDArray[np.float64]


class Model(Protocol):
    """What is asked of a trained artifact (`naics_graph.artifact.Artifact`)."""

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in the order of `points`."""

    @property
    def curvature(self) -> float:
        """The c of a space of curvature -c."""

    def points(self, stage: Stage | None = None) -> Matrix:
        """(n, h) unit vectors of the first two stages, (n, d+1) Lorentz points of the others."""

    def encode(
        self, texts: Sequence[str], stage: Stage | None = None, progress: Progress | None = None
    ) -> Matrix:
        """Images of texts in the space of `points(stage)`; default the published stage."""

    def scores(
        self, stage: Stage, texts: Sequence[str], progress: Progress | None = None
    ) -> Matrix:
        """(q, n) similarity of texts and codes, higher is better."""


@dataclass(frozen=True, slots=True)
class SystemRow:
    """Rank figures of one system; `dim` is the length of its text vectors."""

    system: str
    kind: Kind
    dim: int
    mrr: float
    top1: float
    hit5: float
    hit10: float
    lca_level: float


@dataclass(frozen=True, slots=True)
class TreeRow:
    """Tree figures of the codes' images after one stage."""

    system: str
    pearson: float
    spearman: float
    spearman_ceiling: float
    parent_at_1: float
    edge_map: float
    distortion: float


class Bench:
    """The texts, their true codes and the candidates: everything a system is scored against."""

    def __init__(self, tree: Tree, queries: Sequence[LabelledQuery]) -> None:
        self.queries = tuple(queries)
        self.texts = [query.text for query in queries]
        self.candidates = np.flatnonzero(tree.depth == 5)
        self.codes = tuple(tree.codes[i] for i in self.candidates)
        self.position = {code: i for i, code in enumerate(self.codes)}
        self.truth = np.asarray([self.position[query.code] for query in queries], dtype=np.int64)
        self._lca_depth = tree.lca_depth[np.ix_(self.candidates, self.candidates)]

    def measure(self, scores: Matrix) -> RetrievalMetrics:
        """Rank figures of (q, candidates) scores."""
        return retrieval_metrics(scores, self.truth, self._lca_depth)

    def row(self, system: str, kind: Kind, dim: int, metrics: RetrievalMetrics) -> SystemRow:
        """One line of the report."""
        return SystemRow(system, kind, dim, **dataclasses.asdict(metrics))


def stage_row(bench: Bench, model: Model, stage: Stage, progress: Progress | None) -> SystemRow:
    """Rank figures of the images of texts and codes after one stage.

    Raises:
        ArtifactMismatchError: a candidate is not among the model's codes.
    """
    _say(progress, f"scoring stage {stage}", 0, 1)
    columns = _columns(model, bench.codes)
    scores = model.scores(stage, bench.texts, progress)[:, columns]
    dim = model.points(stage).shape[1] - (1 if is_lorentz(stage) else 0)
    _say(progress, f"scoring stage {stage}", 1, 1)
    return bench.row(stage, "stage", dim, bench.measure(scores))


def tree_row(tree: Tree, model: Model, stage: Stage, progress: Progress | None) -> TreeRow:
    """Tree figures of the codes' images after one stage, by its own distance.

    That is 1 - cosine for unit vectors, the geodesic distance for Lorentz points.

    Raises:
        ArtifactMismatchError: a code of the tree is not among the model's.
    """
    _say(progress, f"tree of stage {stage}", 0, 1)
    points = torch.from_numpy(model.points(stage)[_columns(model, tree.codes)])
    if is_lorentz(stage):
        distance = lorentz.pairwise_distance(points, points, model.curvature).numpy()
    else:
        distance = (1.0 - points @ points.T).numpy()
    metrics = tree_metrics(distance, tree)
    _say(progress, f"tree of stage {stage}", 1, 1)
    return TreeRow(stage, **dataclasses.asdict(metrics))


def search_row(
    bench: Bench,
    store: GraphStore,
    active: EmbeddingSetInfo,
    model: Model,
    progress: Progress | None,
) -> SystemRow:
    """Ask the database for every text; scores are minus the place of the answer."""
    points = model.encode(bench.texts, None, progress)
    asked = lorentz.knn_query(torch.from_numpy(points)).numpy()
    scores = np.full((len(points), len(bench.codes)), -float(SEARCH_DEPTH))
    for i, (point, knn) in enumerate(zip(points, asked, strict=True)):
        request = NearestRequest(active.vintage, point, knn, limit=SEARCH_DEPTH, level=6)
        found = store.nearest(request)[:SEARCH_DEPTH]
        for place, neighbour in enumerate(found):
            scores[i, bench.position[neighbour.code]] = -float(place)
        _say(progress, "asking the database", i + 1, len(points))
    return bench.row("search", "search", active.dims, bench.measure(scores))


def is_lorentz(stage: Stage) -> bool:
    """Whether a stage's images are Lorentz points; those of the others are unit vectors."""
    return stage in ("contrast", "refine")


def _columns(model: Model, codes: Sequence[str]) -> list[int]:
    column = {code: i for i, code in enumerate(model.codes)}
    missing = [code for code in codes if code not in column]
    if missing:
        raise ArtifactMismatchError(
            f"the trained model knows no {missing[0]} ({len(missing)} codes are missing)",
            where="the artifact of the active embedding set",
            do="train again: the database was loaded with other codes since",
        )
    return [column[code] for code in codes]


def _say(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
