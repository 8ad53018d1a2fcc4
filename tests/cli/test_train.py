"""What `train` says while it works, and what the run's folder keeps of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from naics_graph.config import load_config
from naics_graph.geometry import lorentz
from naics_graph.pipeline import TrainConfig
from naics_graph.store.open import open_store
from tests.cli.conftest import Run
from tests.search.world import make_world
from tests.tiny_training import spelled, tiny_database, tiny_settings


@pytest.mark.slow
def test_a_switch_of_the_curriculum_is_seen_and_kept(home: Path, run: Run) -> None:
    database = tiny_database(home)
    settings = [
        *tiny_settings(home),
        "contrast.curriculum.enabled=true",
        "contrast.curriculum.tree.share=0.5",
        "contrast.curriculum.hard.share=0.5",
        "contrast.curriculum.eliminate.share=0",
        "refine.epochs=1",
    ]
    flags = [part for setting in settings for part in ("--set", setting)]
    said = {}
    for name in ("told", "quiet"):
        quiet = ["--quiet"] if name == "quiet" else []
        outcome = run("train", "--database", database, "--run", name, *flags, *quiet, "--json")
        assert outcome.code == 0, outcome.err
        said[name] = outcome.err.splitlines()
        assert "held-out texts to judge by" in outcome.json["stages"][0]["note"]
    folder = home / "data" / "runs"
    for name in said:
        (event,) = map(json.loads, (folder / name / "events.jsonl").read_text().splitlines())
        assert event["event"].startswith(f"curriculum: tree -> hard at step {event['step']}, ")
        assert (event["event"] in said[name]) == (name == "told")


def test_more_dimensions_than_the_index_holds_are_refused_before_anything_is_opened(
    home: Path, run: Run
) -> None:
    points = lorentz.expmap0(torch.ones(2, 64, dtype=torch.float64), 1.0)
    assert lorentz.knn_vectors(points).shape[1] == 64 + 2
    assert load_config(TrainConfig, None, ["contrast.map.dim=64"]).contrast.map.dim == 64
    outcome = run("train", "--set", "contrast.map.dim=65")
    assert outcome.code == 3
    assert "contrast.map.dim is 65, it must be at most 64" in outcome.err
    assert not home.exists()


@pytest.mark.slow
def test_a_run_is_resumed_on_the_vintage_it_was_started_on(home: Path, run: Run) -> None:
    """Without being told which, though another is newer; told another, it is refused."""
    database = tiny_database(home)
    with open_store(database) as store:
        store.load(spelled(make_world("2017", seed=2, curvature=1.0).taxonomy))
    flags = ["--database", database, "--quiet", "--json"]
    short = [*tiny_settings(home), "contrast.epochs=1", "refine.epochs=1"]
    new = [part for setting in short for part in ("--set", setting)]
    assert run("train", "--vintage", "2017", "--run", "old", *new, *flags).code == 0
    points = home / "data" / "runs" / "old" / "artifact" / "points.safetensors"
    before = points.read_bytes()
    points.unlink()
    resumed = run("train", "--resume", "old", *flags)
    assert resumed.code == 0, resumed.err
    assert points.read_bytes() == before
    with open_store(database, read_only=True) as store:
        assert [(one.id, one.vintage) for one in store.embedding_sets()] == [("old", "2017")]
    refused = run("train", "--resume", "old", "--vintage", "2022", *flags)
    assert refused.code == 6
    assert "holds vintage 2022" in refused.err
    assert "was started on vintage 2017" in refused.err


def test_a_run_that_does_not_say_what_it_was_started_on_is_not_resumed(
    home: Path, run: Run
) -> None:
    database = tiny_database(home)
    folder = home / "data" / "runs" / "torn"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n", encoding="utf-8")
    outcome = run("train", "--resume", "torn", "--database", database)
    assert outcome.code == 6
    assert str(folder / "data.json") in outcome.err
