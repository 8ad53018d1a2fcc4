"""Every stage beside its baselines: what `naics-graph evaluate` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from naics_graph.evaluate.queries import (
    read_queries,
    split_sha256,
    validation_queries,
)
from naics_graph.evaluate.systems import (
    Bench,
    Model,
    SystemRow,
    TreeRow,
    search_row,
    stage_row,
    tree_row,
)
from naics_graph.store.contract import EmbeddingSetInfo, GraphStore, Progress
from naics_graph.taxonomy.model import Role, Taxonomy
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True, slots=True)
class Split:
    """What was evaluated. sha256: `queries.split_sha256`. role: None for a table of the user's."""

    sha256: str
    role: str | None
    queries: int


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The JSON object of `naics-graph evaluate`, field by field.

    left_out: texts by source that the load dropped, because they (nearly) equal an evaluated entry.
    """

    vintage: str
    embedding_set: str | None
    split: Split
    candidates: int
    rows: tuple[SystemRow, ...]
    tree: tuple[TreeRow, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


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
        from naics_graph.artifact import STAGES

        rows += [stage_row(bench, model, stage, progress) for stage in STAGES]
        tree_rows += [tree_row(tree, model, stage, progress) for stage in STAGES]
    if model is not None and active is not None:
        rows.append(search_row(bench, store, active, model, progress))
    return EvaluationReport(
        vintage=taxonomy.vintage,
        embedding_set=active.id if active is not None else None,
        split=Split(split_sha256(asked), Role.VALIDATION if queries is None else None, len(asked)),
        candidates=len(bench.candidates),
        rows=tuple(rows),
        tree=tuple(tree_rows),
        left_out=dict(taxonomy.left_out),
    )


def active_set(store: GraphStore, vintage: str) -> EmbeddingSetInfo | None:
    """The set that answers for a vintage, if any."""
    sets = store.embedding_sets()
    return next((s for s in sets if s.vintage == vintage and s.status == "active"), None)


def _load_model(active: EmbeddingSetInfo) -> Model:
    from naics_graph import settings
    from naics_graph.artifact import Artifact

    return Artifact.of_set(active, settings.runs_dir(), settings.vectors_dir())


def _baseline_rows(taxonomy: Taxonomy, bench: Bench, progress: Progress | None) -> list[SystemRow]:
    from naics_graph import settings
    from naics_graph.encode.backbone import BackboneConfig, load_backbone
    from naics_graph.encode.cache import CachedBackbone
    from naics_graph.evaluate.baseline_rows import baseline_figures

    encoder = CachedBackbone(load_backbone(BackboneConfig()), settings.vectors_dir())
    cache = settings.cache_dir() / "baselines"
    figures = baseline_figures(taxonomy, bench, encoder, cache=cache, progress=progress)
    return [bench.row(f.name, "baseline", f.dim, f.metrics) for f in figures]
