"""What `train` says while it works, and what the run's folder keeps of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from naics_graph.store.open import open_store
from tests.cli.conftest import Run
from tests.cli.test_train_processes import spelled
from tests.encode.tiny import write_tiny_model
from tests.search.world import make_world


@pytest.mark.slow
def test_a_switch_of_the_curriculum_is_seen_and_kept(home: Path, run: Run) -> None:
    write_tiny_model(home / "model")
    database = str(home / "tiny.lbug")
    with open_store(database) as store:
        store.load(spelled(make_world("2022", seed=1, curvature=1.0).taxonomy))
    settings = [
        f"backbone.name={home / 'model'}",
        "contrast.epochs=2",
        "contrast.map.dim=8",
        "contrast.map.width=32",
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
