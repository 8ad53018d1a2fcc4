"""What `train` says while it works, and what the run's folder keeps of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.tiny_training import tiny_database, tiny_settings


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
