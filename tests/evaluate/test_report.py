"""The rows of `evaluate` over a database and a model whose figures are known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naics_graph import settings
from naics_graph.artifact import STAGES, Stage, stage_scores
from naics_graph.errors import ArtifactMismatchError, DataError
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.report import EvaluationReport, evaluate
from naics_graph.evaluate.retrieval import retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.store.contract import (
    EmbeddingSetInfo,
    GraphStore,
    NearestRequest,
    Neighbour,
    Progress,
)
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.tree import Tree
from tests.evaluate.small import small_taxonomy

CURVATURE = 0.5
TREE = Tree.of(small_taxonomy())
ACTIVE = EmbeddingSetInfo("run-1", "2022", "2026-01-01T00:00:00Z", 3, CURVATURE, "m", "d")
ACTIVE = dataclasses.replace(ACTIVE, status="active")
Matrix = NDArray[np.float64]


class Model:
    """Random images; a text's image is that of the code it is labelled with, moved a little."""

    curvature = CURVATURE

    def __init__(self, codes: Sequence[str] = TREE.codes) -> None:
        self.codes = tuple(codes)
        generator = torch.Generator().manual_seed(0)
        self._tangents = torch.randn(len(codes), 3, generator=generator, dtype=torch.float64)

    def points(self, stage: Stage | None = None) -> Matrix:
        return self._image(self._tangents, stage)

    def encode(
        self, texts: Sequence[str], stage: Stage | None = None, progress: Progress | None = None
    ) -> Matrix:
        del progress
        truth = {e.text: e.code for e in small_taxonomy().entries}
        rows = [self.codes.index(truth[text]) for text in texts]
        shift = torch.linspace(-1.5, 1.5, len(rows) * 3, dtype=torch.float64).reshape(-1, 3)
        return self._image(self._tangents[rows] + shift, stage)

    def scores(
        self, stage: Stage, texts: Sequence[str], progress: Progress | None = None
    ) -> Matrix:
        queries, codes = self.encode(texts, stage, progress), self.points(stage)
        found = stage_scores(
            stage, torch.from_numpy(queries), torch.from_numpy(codes), self.curvature
        )
        return cast(Matrix, found.numpy())

    def _image(self, tangents: torch.Tensor, stage: Stage | None) -> Matrix:
        if stage in ("encode", "mixture"):
            return cast(Matrix, torch.nn.functional.normalize(tangents).numpy())
        return cast(Matrix, lorentz.expmap0(tangents, self.curvature).numpy())


class Store:
    """A loaded database: the taxonomy, perhaps an active set, and its exact nearest codes."""

    location = "memory"

    def __init__(self, taxonomy: Taxonomy, active: EmbeddingSetInfo | None) -> None:
        self._taxonomy, self._active = taxonomy, active
        self._model = Model()

    def taxonomy(self, vintage: str | None = None) -> Taxonomy:
        assert vintage in (None, "2022")
        return self._taxonomy

    def embedding_sets(self) -> list[EmbeddingSetInfo]:
        other = dataclasses.replace(ACTIVE, id="run-0", status="inactive")
        elsewhere = dataclasses.replace(ACTIVE, id="old", vintage="2017")
        return [other, elsewhere, *([self._active] if self._active else [])]

    def nearest(self, request: NearestRequest) -> list[Neighbour]:
        assert request.level == 6
        points = torch.from_numpy(self._model.points())
        index = lorentz.knn_vectors(points).numpy() @ request.knn_query
        order = [i for i in np.argsort(-index) if TREE.depth[i] == 5]
        return [Neighbour(TREE.codes[i], "", 6, points[i].numpy(), "run-1", ()) for i in order]


def run(
    active: EmbeddingSetInfo | None = ACTIVE,
    model: Model | None = None,
    queries: Path | None = None,
) -> EvaluationReport:
    store = cast(GraphStore, Store(small_taxonomy(), active))
    return evaluate(store, baselines=False, model=model, queries=queries)


def test_every_stage_is_scored_by_its_own_distance() -> None:
    model = Model()
    report = run(model=model)
    assert [row.system for row in report.rows] == [*STAGES, "search"]
    assert [row.dim for row in report.rows] == [3, 3, 3, 3, 3]
    assert (report.candidates, report.split.queries, report.split.role) == (8, 3, "validation")
    assert report.embedding_set == "run-1"
    leaves = np.flatnonzero(TREE.depth == 5)
    texts = [e.text for e in small_taxonomy().entries if e.evaluated]
    truth = np.array([0, 5, 7])
    lca = TREE.lca_depth[np.ix_(leaves, leaves)]
    for stage, row, tree_row in zip(STAGES, report.rows, report.tree, strict=False):
        expected = retrieval_metrics(model.scores(stage, texts)[:, leaves], truth, lca)
        assert dataclasses.asdict(expected).items() <= dataclasses.asdict(row).items()
        points = torch.from_numpy(model.points(stage))
        distance = (
            1 - points @ points.T
            if stage in ("encode", "mixture")
            else lorentz.pairwise_distance(points, points, CURVATURE)
        )
        figures = dataclasses.asdict(tree_metrics(distance.numpy(), TREE))
        assert figures.items() <= dataclasses.asdict(tree_row).items()
    assert 0 < report.rows[3].mrr < 1


def test_an_exact_database_answers_as_its_stage() -> None:
    report = run(model=Model())
    stage, search = report.rows[-2:]
    assert (search.system, search.kind) == ("search", "search")
    assert dataclasses.astuple(search)[3:] == dataclasses.astuple(stage)[3:]


def test_codes_are_matched_by_name() -> None:
    order = np.random.default_rng(0).permutation(len(TREE.codes))
    shuffled = Model([TREE.codes[i] for i in order])
    shuffled._tangents = Model()._tangents[torch.from_numpy(order)]
    assert run(model=shuffled) == run(model=Model())


def test_a_model_of_other_codes_is_refused() -> None:
    codes = [code for code in TREE.codes if code != "112110"]
    with pytest.raises(ArtifactMismatchError, match="knows no 112110"):
        run(model=Model(codes))


def test_without_an_active_set_there_are_no_stages() -> None:
    report = run(active=None)
    assert (report.rows, report.tree, report.embedding_set) == ((), (), None)


def test_the_model_of_the_active_set_must_be_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAICS_GRAPH_HOME", str(tmp_path))
    with pytest.raises(ArtifactMismatchError, match="cannot be read") as caught:
        run()
    assert str(settings.runs_dir() / "run-1") in caught.value.where


def test_a_table_takes_the_place_of_the_role(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("text,code\nconvenience store,445120\n", encoding="utf-8")
    report = run(model=Model(), queries=path)
    assert (report.split.role, report.split.queries) == (None, 1)
    path.write_text("text,code\nconvenience store,999999\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        run(model=Model(), queries=path)


def test_the_report_is_the_json_of_the_contract() -> None:
    found = json.loads(json.dumps(dataclasses.asdict(run(model=Model()))))
    assert set(found["split"]) == {"sha256", "role", "queries"}
    assert {"split", "candidates", "rows", "tree"} <= set(found)
    assert set(found["rows"][0]) == {
        "system", "kind", "dim", "mrr", "top1", "hit5", "hit10", "lca_level",
    }  # fmt: skip
    assert set(found["tree"][0]) == {
        "system", "pearson", "spearman", "spearman_ceiling", "parent_at_1", "edge_map",
        "distortion",
    }  # fmt: skip
