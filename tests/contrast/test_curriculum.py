"""When phases end, what they put in use, and that all of it can be set."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

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


def run(curriculum: Curriculum, losses: Iterable[float], first: int = 0) -> list[str]:
    """The switches of steps with these losses."""
    switches = []
    for step, loss in enumerate(losses, first):
        switches.append(curriculum.before(step))
        curriculum.after(loss)
    return [switch for switch in switches if switch]


def test_a_phase_that_stops_paying_ends_early() -> None:
    config = CurriculumConfig(
        enabled=True, window=0.01, threshold=0.1, patience=2, tree=TreePhase(share=1.0)
    )
    curriculum = Curriculum(config, steps=1000)
    # Means of ten steps, each of which has others above and below it.
    means = [5.0, 4.0, 3.9, 3.0, 2.95, 2.9]
    losses = [mean + noise for mean in means for noise in (-1.0, 1.0) * 5]
    assert run(curriculum, losses) == []
    said = "curriculum: tree -> hard at step 60, the query loss fell by 1.7%"
    assert curriculum.before(60) == said
    assert (curriculum.name, curriculum.since) == ("hard", 60)


@pytest.mark.parametrize("steps", [40, 160, 161])
def test_four_epochs_are_enough_to_see_that_a_phase_does_not_pay(steps: int) -> None:
    """At the defaults, with ten and forty steps an epoch; the last phase lasts."""
    said = run(Curriculum(ON, steps), [2.0] * steps)
    assert [switch.rpartition(", ")[2] for switch in said] == ["the query loss fell by 0.0%"] * 2
    ended = [int(switch.split()[6].rstrip(",")) for switch in said]
    assert ended == [3 * round(steps / 20), 6 * round(steps / 20)]


def test_a_loss_that_keeps_falling_leaves_a_phase_its_share() -> None:
    assert run(Curriculum(ON, 160), (0.99**step for step in range(160))) == [
        "curriculum: tree -> hard at step 32, 32 steps are its share",
        "curriculum: hard -> eliminate at step 96, 64 steps are its share",
    ]


def test_the_switch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        switch = Curriculum(ON, steps=10).before(2)
    assert switch == "curriculum: tree -> hard at step 2, 2 steps are its share"
    assert switch in caplog.text


def test_windows_begin_with_their_phase() -> None:
    config = CurriculumConfig(enabled=True, patience=1, tree=TreePhase(share=0.08))
    curriculum = Curriculum(config, steps=100)
    # Its second window had three steps of five when its share was used up.
    assert run(curriculum, [5.0] * 8) == []
    assert curriculum.before(8) == "curriculum: tree -> hard at step 8, 8 steps are its share"
    assert run(curriculum, [5.0] * 10, first=8) == []
    assert curriculum.before(18)


def test_a_negative_loss_falls_too() -> None:
    config = CurriculumConfig(enabled=True, window=0.001, patience=1)
    curriculum = Curriculum(config, steps=1000)
    assert run(curriculum, [-1.0, -1.5, -1.5]) == []
    assert curriculum.before(3)


def test_without_patience_only_steps_count() -> None:
    curriculum = Curriculum(CurriculumConfig(enabled=True, patience=0), steps=1000)
    assert run(curriculum, [1.0] * 200) == []
    assert curriculum.before(200)


@pytest.mark.parametrize("broken", range(15))
def test_the_state_goes_through_json_and_back(broken: int) -> None:
    """At any step, in the middle of a window and where one has just ended a phase."""
    config = CurriculumConfig(enabled=True, window=0.04)
    losses = [0.1 + 0.2, 0.7, 0.1, 0.2, 0.9] * 3
    curriculum = Curriculum(config, steps=100)
    run(curriculum, losses[:broken])
    other = Curriculum(config, steps=100)
    other.restore(json.loads(json.dumps(curriculum.state())))
    assert other.state() == curriculum.state()
    rest = losses[broken:]
    assert run(other, rest, broken) == run(curriculum, rest, broken)
    assert other.state() == curriculum.state()


def test_everything_can_be_set() -> None:
    config = load_config(
        ContrastConfig,
        overrides=[
            "curriculum.enabled=true",
            "curriculum.patience=3",
            "curriculum.window=0.5",
            "curriculum.tree.count=7",
            "curriculum.hard.strategies=[hard, in_batch]",
            "curriculum.eliminate.clusters=9",
            "curriculum.all.share=0.25",
            "objective.negatives.strategies=[tree]",
        ],
    )
    found = config.curriculum
    assert (found.enabled, found.patience, found.window, found.all.share) == (True, 3, 0.5, 0.25)
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
        ("curriculum.window=0", "window is 0.0"),
        ("curriculum.window=0.6", "window is 0.6"),
        ("curriculum.threshold=1", "threshold is 1.0"),
        ("curriculum.threshold=-0.1", "threshold is -0.1"),
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
