"""Stage 4 inside `train`: what is logged, what it hides, and that it goes on after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
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
from tests.refine.test_trainer import logged
from tests.tiny_training import tiny_home

ROOT = Path(__file__).parents[2]
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
    with tiny_home(tmp_path_factory) as folder:
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


def records(folder: Path) -> list[dict[str, Any]]:
    """What a run has logged of stage 4's epochs."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["stage"] == "refine"]


def refined(report: TrainReport) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, d+1) points of the codes after stage 4."""
    return Artifact.load(report.folder / "artifact").points("refine")


def test_epochs_are_measured_and_the_last_figures_are_the_stages(whole: TrainReport) -> None:
    """Every second epoch and the last."""
    logged, figures = records(whole.folder), whole.stages[-1].metrics
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
    assert [r["loss"] for r in records(often.folder)] == [r["loss"] for r in records(whole.folder)]
    assert all("mrr" in record for record in records(often.folder))


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
    assert set(times.tolist()) == {len(records(again.folder))}, "once an epoch"


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.refine.test_in_train import trained
def kill(what, done, total):
    if what == "graph refinement" and done == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
trained(Path(sys.argv[1]), "killed", progress=kill)
"""


def test_a_training_killed_in_stage_4_resumes_to_the_same_points_bit_for_bit(
    home: Path, whole: TrainReport
) -> None:
    """Killed by SIGKILL at a step drawn at random, after the first epoch's checkpoint."""
    first, last = (records(whole.folder)[i]["step"] for i in (0, -1))
    step = first + 1 + int.from_bytes(os.urandom(4), "big") % (last - first)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = whole.folder.parent / "killed"
    before = [record["epoch"] for record in records(whole.folder) if record["step"] < step]
    assert [record["epoch"] for record in records(folder)] == before
    resumed = trained(home, "killed", resume=True)
    with open_store(str(home / "tiny.lbug"), read_only=True) as store:
        (codes, points), (same, others) = (store.read_set(r.run) for r in (whole, resumed))
    said = f"killed after step {step}"
    assert codes == same
    assert np.array_equal(points, others), said
    assert np.array_equal(refined(resumed), refined(whole)), said
    assert [stage.metrics for stage in resumed.stages] == [stage.metrics for stage in whole.stages]
    assert logged(folder) == logged(whole.folder), said
