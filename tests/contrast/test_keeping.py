"""Which weights a training ends with, what stops it, and that it goes on after kill -9."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.keeping import Averaged, Best
from naics_graph.contrast.optimisation import DivergedError, require_radius
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import ContrastTrainer
from naics_graph.errors import ConfigError
from naics_graph.runs import Run
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy

ROOT = Path(__file__).parents[2]
FULL = dataclasses.replace(CONFIG, averaging=0.9, keep="best")


@pytest.fixture(scope="module")
def data() -> ContrastData:
    return ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)


def vector(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten().double() for p in module.parameters()])


def measure(space: CodeSpace) -> Mapping[str, float]:
    """A figure that depends on the weights and rises and falls."""
    return {"mrr": float(torch.sin(1e3 * vector(space).sum()))}


def trained(
    folder: Path,
    data: ContrastData,
    config: ContrastConfig,
    validate: Callable[[CodeSpace], Mapping[str, float]] | None = measure,
    progress: Callable[[str, int, int], None] | None = None,
) -> ContrastTrainer:
    run = Run(folder) if (folder / "config.yaml").exists() else Run.create(folder, "")
    trainer = ContrastTrainer(config, data, run, 0, validate)
    try:
        trainer.space = trainer.train(progress)
    finally:
        run.close()
    return trainer


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.contrast.test_keeping import FULL, RandomEncoder, small_taxonomy, trained
from naics_graph.contrast.data import ContrastData
folder, last = Path(sys.argv[1]), int(sys.argv[2])
def kill(what, done, total):
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
data = ContrastData.of(small_taxonomy(), RandomEncoder(), FULL.lexical)
trained(folder, data, FULL, progress=kill)
"""


def test_a_killed_training_resumes_to_the_same_weights_bit_for_bit(
    tmp_path: Path, data: ContrastData
) -> None:
    """Killed by SIGKILL at a step drawn at random, averaged and best weights included."""
    total = FULL.epochs * data.steps_per_epoch(FULL.batch_size)
    step = 1 + int.from_bytes(os.urandom(4), "big") % total
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "killed"), str(step)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resumed = trained(tmp_path / "killed", data, FULL)
    whole = trained(tmp_path / "whole", data, FULL)
    assert torch.equal(vector(resumed.space), vector(whole.space)), f"killed after step {step}"
    assert resumed.measured == whole.measured


def test_the_best_epoch_is_kept(tmp_path: Path, data: ContrastData) -> None:
    config = dataclasses.replace(CONFIG, validate_every=1)
    figures = [0.2, 0.5, 0.1, 0.4]
    weights: list[Tensor] = []

    def scripted(space: CodeSpace) -> Mapping[str, float]:
        weights.append(vector(space))
        return {"mrr": figures[(len(weights) - 1) % 4]}

    best = trained(tmp_path / "best", data, dataclasses.replace(config, keep="best"), scripted)
    assert torch.equal(vector(best.space), weights[1])
    assert best.measured == {"mrr": 0.5}
    last = trained(tmp_path / "last", data, config, scripted)
    assert torch.equal(vector(last.space), weights[3])
    assert last.measured == {"mrr": 0.4}


def test_training_stops_early_where_nothing_gets_better(tmp_path: Path, data: ContrastData) -> None:
    config = dataclasses.replace(CONFIG, early_stopping=2, epochs=9)
    figures = iter([0.2, 0.5, 0.5, 0.4])
    trained(tmp_path / "run", data, config, lambda _: {"mrr": next(figures)})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[-1])["mrr"] == 0.4
    # It is over for a resumed run as well: nothing is measured again.
    trained(tmp_path / "run", data, config, lambda _: {"mrr": next(figures)})


@pytest.mark.parametrize("validate_every", [0, ContrastConfig().validate_every])
@pytest.mark.parametrize(("change", "epochs"), [({"early_stopping": 1}, 2), ({"keep": "best"}, 4)])
def test_epochs_that_are_judged_are_all_measured(
    tmp_path: Path,
    data: ContrastData,
    validate_every: int,
    change: dict[str, Any],
    epochs: int,
) -> None:
    config = dataclasses.replace(CONFIG, validate_every=validate_every, **change)
    figures = iter([0.5, 0.4, 0.3, 0.2])
    trainer = trained(tmp_path / "run", data, config, lambda _: {"mrr": next(figures)})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["mrr"] for line in lines] == [0.5, 0.4, 0.3, 0.2][:epochs]
    assert trainer.measured["mrr"] == (0.5 if config.keep == "best" else 0.4)


@pytest.mark.parametrize("change", [{"keep": "best"}, {"early_stopping": 1}])
def test_without_held_out_texts_there_is_no_best(
    tmp_path: Path, data: ContrastData, change: dict[str, Any]
) -> None:
    config = dataclasses.replace(CONFIG, epochs=1, **change)
    with pytest.raises(ConfigError, match="no held-out texts"):
        trained(tmp_path / "run", data, config, None)


def test_averaged_weights_are_those_of_the_formula() -> None:
    module = nn.Linear(2, 1, bias=False)
    weights = [torch.tensor([[float(i), -float(i)]]) for i in range(30)]
    with torch.no_grad():
        module.weight.copy_(weights[0])
    averaged = Averaged(module, 0.5)
    expected = weights[0]
    for t, weight in enumerate(weights[1:]):
        with torch.no_grad():
            module.weight.copy_(weight)
        averaged.update(module)
        kept = min(0.5, (1 + t) / (10 + t))
        expected = kept * expected + (1 - kept) * weight
    assert torch.allclose(averaged.module.weight, expected)
    assert not averaged.module.weight.requires_grad


def test_averaging_is_measured_and_published_and_changes_no_step(
    tmp_path: Path, data: ContrastData
) -> None:
    seen: list[Tensor] = []

    def note(space: CodeSpace) -> Mapping[str, float]:
        seen.append(vector(space))
        return {"mrr": 0.0}

    plain = trained(tmp_path / "plain", data, CONFIG, None)
    run = Run.create(tmp_path / "averaged", "")
    trainer = ContrastTrainer(dataclasses.replace(CONFIG, averaging=0.9), data, run, 0, note)
    published = vector(trainer.train())
    run.close()
    assert torch.equal(vector(trainer.space), vector(plain.space))
    assert torch.equal(published, seen[-1])
    assert not torch.equal(published, vector(plain.space))


def test_best_waits_for_patience_and_forgets_nothing_in_a_checkpoint() -> None:
    module = nn.Linear(1, 1)
    best = Best("best", 2)
    for epoch, mrr in enumerate([0.3, 0.2, 0.4, 0.4], start=1):
        best.see(epoch, {"mrr": mrr}, module)
    again = Best("best", 2)
    again.restore(json.loads(json.dumps(best.state())), best.weights)
    for one in (best, again):
        assert (one.epoch, one.worse, one.is_over) == (3, 1, False)
        one.see(5, {"mrr": 0.1}, module)
        assert one.is_over


def test_a_radius_out_of_bounds_stops_and_names_the_largest_part(
    tmp_path: Path, data: ContrastData
) -> None:
    parts = {"hierarchy": torch.tensor(3.0), "radius": torch.tensor(-8.0)}
    require_radius("contrast", 1, 5.0, 5.0, parts)
    with pytest.raises(DivergedError, match=r"5\.100 at step 7.*'radius'"):
        require_radius("contrast", 7, 5.1, 5.0, parts)
    low = dataclasses.replace(CONFIG, radius_limit=0.01)
    with pytest.raises(DivergedError, match="mean radius"):
        trained(tmp_path / "run", data, low)
