"""Stage 3 inside `train`: which epoch is published, and who judges it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from naics_graph.config import load_config
from naics_graph.errors import ConfigError
from naics_graph.pipeline import TrainConfig, TrainReport, train
from naics_graph.runs import Run
from naics_graph.store.open import open_store
from tests.tiny_training import tiny_home, tiny_settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder of our own, a database loaded without roles and a tiny transformer."""
    with tiny_home(tmp_path_factory, roles=False) as folder:
        yield folder


def trained(home: Path, run: str, *changes: str) -> TrainReport:
    config = load_config(TrainConfig, None, [*tiny_settings(home), "refine.epochs=1", *changes])
    with open_store(str(home / "tiny.lbug")) as store:
        return train(store, config, run=run)


def test_the_best_epoch_is_published_by_what_was_held_out(home: Path) -> None:
    far_too_fast = "contrast.learning_rate=0.1"
    changes = ("contrast.epochs=4", "contrast.keep=best", "held_out=0.3", far_too_fast)
    report = trained(home, "best", *changes)
    run = Run(report.folder)
    records = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    judged = [record["mrr"] for record in records if record["stage"] == "contrast"]
    assert len(judged) == 4
    assert judged[-1] < max(judged), "the last epoch is the best: this shows nothing"
    metrics = {stage.stage: stage.metrics for stage in report.stages}["contrast"]
    assert metrics["mrr"] == max(judged)
    last = run.latest_checkpoint("contrast")
    assert last is not None
    published = load_file(run.artifact / "model.safetensors")
    name = "text_map.project"
    assert torch.equal(published[name], last.tensors[f"best.{name}"])


@pytest.mark.parametrize("change", ["contrast.keep=best", "contrast.early_stopping=1"])
def test_without_judges_it_is_refused_before_texts_are_encoded(home: Path, change: str) -> None:
    nowhere = f"backbone.name={home / 'nowhere'}"
    with pytest.raises(ConfigError, match="no held-out texts"):
        trained(home, change.split("=")[0], change, "held_out=0", nowhere)
