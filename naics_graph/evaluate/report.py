"""Every stage beside its baselines: the rows of `naics-graph evaluate`.

Candidates are the six-digit codes of the vintage; tree figures are over all its codes. The row
`search` is what the database answers: the first SEARCH_DEPTH codes of its own query for every text,
all other codes tied behind them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph.evaluate.hierarchy import TreeMetrics, tree_metrics
from naics_graph.evaluate.queries import (
    LabelledQuery,
    read_queries,
    split_sha256,
    validation_queries,
)
from naics_graph.evaluate.retrieval import RetrievalMetrics, retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.store.contract import EmbeddingSetInfo, GraphStore, NearestRequest, Progress
from naics_graph.taxonomy.model import Role, Taxonomy
from naics_graph.taxonomy.tree import Tree

if TYPE_CHECKING:
    from naics_graph.artifact import Stage

SEARCH_DEPTH: Final = 50
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
class Split:
    """What was evaluated. sha256: `queries.split_sha256`. role: None for a table of the user's."""

    sha256: str
    role: str | None
    queries: int


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


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The JSON object of `naics-graph evaluate`, field by field."""

    vintage: str
    embedding_set: str | None
    split: Split
    candidates: int
    rows: tuple[SystemRow, ...]
    tree: tuple[TreeRow, ...]


def evaluate(
    store: GraphStore,
    *,
    vintage: str | None = None,
    queries: Path | None = None,
    baselines: bool = True,
    model: Model | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Score baselines, stages and the database's own answers on labelled texts.

    Args:
        store: a database with a loaded vintage.
        vintage: default the newest loaded.
        queries: a labelled table; default the entries of the validation role.
        baselines: whether to fit and score the baselines (two minutes the first time).
        model: the trained artifact; default that of the active set. Without an active set the
            baselines alone are scored.
        progress: called as (what, done, total).

    Raises:
        DatabaseError: nothing is loaded.
        DataError: the labelled table cannot be used, or the load has no validation role.
        ArtifactMismatchError: the active set's model is not here, or is of other codes.
    """
    taxonomy = store.taxonomy(vintage)
    tree = Tree.of(taxonomy)
    asked = (
        validation_queries(taxonomy) if queries is None else read_queries(queries, tree.position)
    )
    active = active_set(store, taxonomy.vintage)
    if model is None and active is not None:
        model = _load_model(active)
    bench = Bench(tree, asked)
    rows: list[SystemRow] = []
    tree_rows: list[TreeRow] = []
    if baselines:
        rows += _baseline_rows(taxonomy, bench, progress)
    if model is not None:
        rows += [_stage_row(bench, model, stage, progress) for stage in _stages()]
        tree_rows += [_tree_row(tree, model, stage, progress) for stage in _stages()]
    if model is not None and active is not None:
        rows.append(_search_row(bench, store, active, model, progress))
    return EvaluationReport(
        vintage=taxonomy.vintage,
        embedding_set=active.id if active is not None else None,
        split=Split(split_sha256(asked), Role.VALIDATION if queries is None else None, len(asked)),
        candidates=len(bench.candidates),
        rows=tuple(rows),
        tree=tuple(tree_rows),
    )


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


def active_set(store: GraphStore, vintage: str) -> EmbeddingSetInfo | None:
    """The set that answers for a vintage, if any."""
    sets = store.embedding_sets()
    return next((s for s in sets if s.vintage == vintage and s.status == "active"), None)


def _load_model(active: EmbeddingSetInfo) -> Model:
    from naics_graph import settings
    from naics_graph.artifact import Artifact
    from naics_graph.errors import ArtifactMismatchError

    folder = settings.runs_dir() / active.id / "artifact"
    artifact = Artifact.load(folder, settings.vectors_dir())
    if artifact.model_sha256 != active.model_sha256:
        raise ArtifactMismatchError(
            f"the model here is not the one of the embedding set {active.id}",
            where=str(folder),
            do="train again with `naics-graph train`, or activate a set whose run is here",
        )
    return artifact


def _baseline_rows(taxonomy: Taxonomy, bench: Bench, progress: Progress | None) -> list[SystemRow]:
    from naics_graph import settings
    from naics_graph.encode.backbone import BackboneConfig, load_backbone
    from naics_graph.encode.cache import CachedBackbone
    from naics_graph.evaluate.baseline_rows import baseline_figures

    encoder = CachedBackbone(load_backbone(BackboneConfig()), settings.vectors_dir())
    cache = settings.cache_dir() / "baselines"
    figures = baseline_figures(taxonomy, bench, encoder, cache=cache, progress=progress)
    return [bench.row(f.name, "baseline", f.dim, f.metrics) for f in figures]


def _stages() -> tuple[Stage, ...]:
    from naics_graph.artifact import STAGES

    return STAGES


def _stage_row(bench: Bench, model: Model, stage: Stage, progress: Progress | None) -> SystemRow:
    _say(progress, f"scoring stage {stage}", 0, 1)
    scores = model.scores(stage, bench.texts, progress)
    column = {code: i for i, code in enumerate(model.codes)}
    chosen = scores[:, [column[code] for code in bench.codes]]
    dim = model.points(stage).shape[1] - (1 if stage in ("contrast", "refine") else 0)
    _say(progress, f"scoring stage {stage}", 1, 1)
    return bench.row(stage, "stage", dim, bench.measure(chosen))


def _tree_row(tree: Tree, model: Model, stage: Stage, progress: Progress | None) -> TreeRow:
    _say(progress, f"tree of stage {stage}", 0, 1)
    column = {code: i for i, code in enumerate(model.codes)}
    points = torch.from_numpy(model.points(stage)[[column[code] for code in tree.codes]])
    if stage in ("contrast", "refine"):
        distance = lorentz.pairwise_distance(points, points, model.curvature).numpy()
    else:
        distance = (1.0 - points @ points.T).numpy()
    metrics: TreeMetrics = tree_metrics(distance, tree)
    _say(progress, f"tree of stage {stage}", 1, 1)
    return TreeRow(stage, **dataclasses.asdict(metrics))


def _search_row(
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


def _say(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
