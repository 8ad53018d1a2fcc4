"""`train` in several processes: the flags, and that two publish what one does."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import naics_graph
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.pipeline import TrainConfig
from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import Taxonomy
from tests.cli.conftest import Run
from tests.encode.tiny import write_tiny_model
from tests.search.world import make_world

ROOT = Path(__file__).parents[2]
LETTERS = str.maketrans("0123456789", "kbcdefghij")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--gpus", "2", "--processes", "2"], "--processes came with --gpus"),
        (["--processes", "0"], "--processes is 0"),
        (["--gpus", "-1"], "--gpus is -1"),
    ],
)
def test_flags_that_make_no_sense_are_refused(run: Run, flags: list[str], said: str) -> None:
    outcome = run("train", *flags)
    assert outcome.code == 2
    assert said in outcome.err


def test_more_gpus_than_visible_are_refused_with_their_number(run: Run) -> None:
    visible = torch.cuda.device_count()
    outcome = run("train", "--gpus", str(visible + 1))
    assert outcome.code == 2
    assert f"{visible + 1} GPUs are asked for, {visible} " in outcome.err


def spelled(taxonomy: Taxonomy) -> Taxonomy:
    """Digits as letters, which the tiny model can read: equal texts would lie in one place, where
    distances have no gradient but rounding.
    """
    industries = tuple(
        dataclasses.replace(
            i,
            title=i.title.translate(LETTERS),
            description=i.description.translate(LETTERS),
            examples=tuple(e.translate(LETTERS) for e in i.examples),
        )
        for i in taxonomy.industries
    )
    entries = tuple(
        dataclasses.replace(e, text=e.text.translate(LETTERS)) for e in taxonomy.entries
    )
    return dataclasses.replace(taxonomy, industries=industries, entries=entries)


@pytest.mark.slow
def test_two_processes_publish_what_one_does(home: Path) -> None:
    """Metrics and points to 1e-6. Every expert is chosen, for a choice is not continuous."""
    write_tiny_model(home / "model")
    database = str(home / "tiny.lbug")
    with open_store(database) as store:
        store.load(spelled(make_world("2022", seed=1, curvature=1.0).taxonomy))
    settings = [
        f"backbone.name={home / 'model'}",
        "contrast.epochs=2",
        "contrast.batch_size=100",
        # Adam turns rounding into steps of the learning rate wherever a gradient is nearly zero.
        "contrast.learning_rate=5e-5",
        "contrast.residual_rate=5e-5",
        "contrast.lexical.learning_rate=5e-5",
        "contrast.map.dim=8",
        "contrast.map.width=32",
        "contrast.map.mixture.experts=2",
        "contrast.map.channel_dropout=0.3",
        "refine.epochs=2",
        "refine.batch_size=90",
        "refine.learning_rate=5e-5",
        "refine.gate_rate=2e-3",
    ]
    with naics_graph.connect(database) as handle:
        one = handle.train(load_config(TrainConfig, None, settings), run="one")
    command = [sys.executable, "-m", "naics_graph.cli", "train", "--database", database]
    command += ["--run", "two", "--processes", "2", "--json"]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = dict(os.environ)
    paths = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)
    assert two["embedding_set"] == "two"
    for stage, other in zip(one.stages, two["stages"], strict=True):
        assert other["metrics"] == pytest.approx(dict(stage.metrics), abs=1e-6), stage.stage
    with open_store(database, read_only=True) as store:
        codes, points = store.read_set("one")
        same, others = store.read_set("two")
    assert codes == same
    assert (np.abs(points - others).max(axis=1) <= 1e-6 * points[:, 0]).all()
    logs = [records(home / "data" / "runs" / name) for name in ("one", "two")]
    assert [record["stage"] for record in logs[1]] == ["contrast"] * 2 + ["refine"] * 2
    assert logs[1][0]["resident_mib"] > 10
    for record, other in zip(*(log[2:] for log in logs), strict=True):
        assert other == pytest.approx(record, abs=1e-6)
    refined = [
        Artifact.load(home / "data" / "runs" / name / "artifact").points("refine")
        for name in ("one", "two")
    ]
    assert np.abs(refined[0] - refined[1]).max() <= 1e-6 * refined[0].max()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
