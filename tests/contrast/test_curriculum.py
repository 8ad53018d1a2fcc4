"""When phases end, what they put in use, and that all of it can be set."""

from __future__ import annotations

import json
import logging

import pytest

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.curriculum import (
    Curriculum,
    CurriculumConfig,
    EliminatePhase,
    HardPhase,
    PhaseConfig,
    TreePhase,
)
from naics_graph.errors import ConfigError

ON = CurriculumConfig(enabled=True)


def test_phases_end_at_their_share_of_the_steps() -> None:
    curriculum = Curriculum(ON, steps=100)
    seen = []
    for step in range(100):
        curriculum.before(step)
        seen.append(curriculum.name)
    assert seen == ["tree"] * 20 + ["hard"] * 40 + ["eliminate"] * 40


def test_each_phase_has_its_negatives() -> None:
    curriculum = Curriculum(ON, steps=10)
    seen = []
    for step in (0, 2, 6):
        curriculum.before(step)
        seen.append((curriculum.negatives.strategies, curriculum.negatives.eliminate))
    both = ("hard", "router")
    assert seen == [(("tree",), False), (both, False), (both, True)]


def test_a_phase_of_share_zero_is_left_out_and_the_last_lasts() -> None:
    config = CurriculumConfig(
        enabled=True, tree=TreePhase(share=0.0), eliminate=EliminatePhase(share=0.0),
        hard=HardPhase(share=0.1), all=PhaseConfig(share=0.1),
    )  # fmt: skip
    curriculum = Curriculum(config, steps=100)
    assert (curriculum.name, curriculum.phase) == ("hard", 2)
    assert not curriculum.before(9)
    assert curriculum.before(10)
    assert (curriculum.name, curriculum.phase) == ("all", 4)
    assert not curriculum.before(99)


def test_a_phase_that_stops_paying_ends_early(caplog: pytest.LogCaptureFixture) -> None:
    config = CurriculumConfig(enabled=True, threshold=0.1, patience=2, tree=TreePhase(share=1.0))
    curriculum = Curriculum(config, steps=1000)
    losses = [5.0, 4.0, 3.9, 3.0, 2.95, 2.9]
    ended = [curriculum.after_epoch(10 * i + 10, 10 * i, loss) for i, loss in enumerate(losses)]
    with caplog.at_level(logging.INFO):
        assert list(map(bool, ended)) == [False] * 5 + [True]
    assert (curriculum.name, curriculum.since) == ("hard", 60)


def test_the_switch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        switch = Curriculum(ON, steps=10).before(2)
    assert switch == "curriculum: tree -> hard at step 2, 2 steps are its share"
    assert switch in caplog.text


def test_no_phase_begins_behind_the_last_step() -> None:
    curriculum = Curriculum(ON, steps=20)
    assert not curriculum.after_epoch(10, 0, 1.0)
    assert not curriculum.after_epoch(20, 10, 1.0)
    assert curriculum.name == "tree"


def test_only_whole_epochs_of_a_phase_are_compared() -> None:
    curriculum = Curriculum(ON, steps=100)
    assert not curriculum.after_epoch(15, 0, 5.0)
    curriculum.before(20)
    # This epoch was half in the phase before, and the next has none to be compared with.
    assert not curriculum.after_epoch(30, 15, 5.0)
    assert not curriculum.after_epoch(45, 30, 5.0)
    assert curriculum.after_epoch(60, 45, 5.0)


def test_a_negative_loss_falls_too() -> None:
    curriculum = Curriculum(ON, steps=1000)
    curriculum.after_epoch(10, 0, -1.0)
    assert not curriculum.after_epoch(20, 10, -1.5)
    assert curriculum.after_epoch(30, 20, -1.5)


def test_without_patience_only_steps_count() -> None:
    curriculum = Curriculum(CurriculumConfig(enabled=True, patience=0), steps=1000)
    assert not any(curriculum.after_epoch(10 * i + 10, 10 * i, 1.0) for i in range(9))


def test_the_state_goes_through_json_and_back() -> None:
    config = CurriculumConfig(enabled=True, patience=2)
    curriculum = Curriculum(config, steps=1000)
    curriculum.before(200)
    curriculum.after_epoch(220, 200, 0.1 + 0.2)
    curriculum.after_epoch(240, 220, 0.1 + 0.2)
    other = Curriculum(config, steps=1000)
    other.restore(json.loads(json.dumps(curriculum.state())))
    assert (other.place, other.since, other.stalled, other.last_loss) == (1, 200, 1, 0.1 + 0.2)
    for one in (curriculum, other):
        assert one.after_epoch(260, 240, 0.3), "the second epoch in a row without a gain"
    assert other.state() == curriculum.state()


def test_everything_can_be_set() -> None:
    config = load_config(
        ContrastConfig,
        overrides=[
            "curriculum.enabled=true",
            "curriculum.patience=3",
            "curriculum.tree.count=7",
            "curriculum.hard.strategies=[hard, in_batch]",
            "curriculum.eliminate.clusters=9",
            "curriculum.all.share=0.25",
            "objective.negatives.strategies=[tree]",
        ],
    )
    found = config.curriculum
    assert (found.enabled, found.patience, found.all.share) == (True, 3, 0.25)
    assert (found.tree.count, found.tree.strategies, found.tree.share) == (7, ("tree",), 0.2)
    assert found.hard.strategies == ("hard", "in_batch")
    assert (found.eliminate.clusters, found.eliminate.eliminate) == (9, True)
    assert config.objective.negatives.strategies == ("tree",)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("curriculum.tree.share=2", "share is 2.0"),
        ("curriculum.tree.count=0", "count is 0"),
        ("curriculum.patience=-1", "patience is -1"),
        ("curriculum.hard.strategies=[nearest]", "one of all, in_batch, hard, router, tree"),
        ("curriculum.hart.share=0.1", "the nearest key is curriculum.hard"),
    ],
)
def test_what_cannot_be_set_says_so(override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(ContrastConfig, overrides=[override])


def test_a_curriculum_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="every phase has share 0"):
        CurriculumConfig(
            enabled=True, tree=TreePhase(share=0.0), hard=HardPhase(share=0.0),
            eliminate=EliminatePhase(share=0.0),
        )  # fmt: skip
