"""Stage 4 inside `train`: what is measured and logged of it, and what it hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.contrast.space import CodeSpace
from naics_graph.pipeline import TrainConfig, TrainReport, train
from naics_graph.refine.inputs import HiddenTexts
from naics_graph.store.contract import Progress
from naics_graph.store.open import open_store
from tests.cli.test_train_processes import spelled
from tests.encode.tiny import write_tiny_model
from tests.search.world import make_world

SETTINGS = (
    "contrast.epochs=1",
    "contrast.map.dim=8",
    "contrast.map.width=16",
    "refine.epochs=3",
    "refine.batch_size=150",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder of our own, a loaded database and a tiny transformer."""
    folder = tmp_path_factory.mktemp("home")
    write_tiny_model(folder / "model")
    with open_store(str(folder / "tiny.lbug")) as store:
        store.load(spelled(make_world("2022", seed=1, curvature=1.0).taxonomy))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAICS_GRAPH_HOME", str(folder / "data"))
        yield folder


def trained(
    home: Path,
    run: str,
    *changes: str,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    settings = [*SETTINGS, f"backbone.name={home / 'model'}", *changes]
    config = load_config(TrainConfig, None, settings)
    with open_store(str(home / "tiny.lbug")) as store:
        return train(store, config, run=run, resume=resume, progress=progress)


@pytest.fixture(scope="module")
def whole(home: Path) -> TrainReport:
    """An unbroken training."""
    return trained(home, "whole")


def records(report: TrainReport) -> list[dict[str, Any]]:
    """What is logged of stage 4's epochs."""
    lines = (report.folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["stage"] == "refine"]


def refined(report: TrainReport) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, d+1) points of the codes after stage 4."""
    return Artifact.load(report.folder / "artifact").points("refine")


def test_epochs_are_measured_and_the_last_figures_are_the_stages(whole: TrainReport) -> None:
    """Every second epoch and the last."""
    logged, figures = records(whole), whole.stages[-1].metrics
    assert all({"loss", "mean_radius", "resident_mib"} <= set(record) for record in logged)
    assert [{"mrr", "edge_map"} <= set(record) for record in logged] == [False, True, True]
    measured = {name: value for name, value in figures.items() if "_change" not in name}
    assert {"mrr", "hit10", "edge_map", "parent_at_1"} <= set(measured)
    assert {name: logged[-1][name] for name in measured} == measured
    before = whole.stages[2].metrics
    for name in ("mrr", "edge_map"):
        change = figures[f"{name}_change"]
        assert change == pytest.approx(figures[name] - before[name], abs=1e-12)


def test_measuring_changes_no_step(home: Path, whole: TrainReport) -> None:
    often = trained(home, "often", "refine.validate_every=1")
    assert np.array_equal(refined(often), refined(whole))
    assert [r["loss"] for r in records(often)] == [r["loss"] for r in records(whole)]
    assert all("mrr" in record for record in records(often))


def test_a_finished_run_resumes_to_the_same_figures(home: Path, whole: TrainReport) -> None:
    again = trained(home, "whole", resume=True)
    assert again.stages[-1].metrics == whole.stages[-1].metrics
    assert again.stages[-1].note == whole.stages[-1].note


def test_every_query_is_asked_of_codes_without_its_text(
    home: Path, whole: TrainReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Tensor] = []
    without = HiddenTexts.codes

    def noted(hidden: HiddenTexts, space: CodeSpace, rows: Tensor, codes: Tensor) -> Tensor:
        asked.append(rows)
        return without(hidden, space, rows, codes)

    monkeypatch.setattr(HiddenTexts, "codes", noted)
    again = trained(home, "noted")
    assert np.array_equal(refined(again), refined(whole))
    times = torch.cat(asked).bincount()
    assert len(times) > 150, "more than one batch"
    assert set(times.tolist()) == {len(records(again))}, "once an epoch"
