"""The gate of stage 4: every way to fail, and the way to pass."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from naics_graph.evaluate.gates import MARGIN, Evidence, accept_refinement, paired_bootstrap
from naics_graph.evaluate.hierarchy import TreeMetrics

TREE = TreeMetrics(
    pearson=0.95,
    spearman=0.93,
    spearman_ceiling=0.977,
    parent_at_1=0.99,
    edge_map=0.97,
    distortion=0.08,
)
RANKS = np.random.default_rng(0).choice([1.0, 0.5, 1 / 3, 0.1], 400)


def evidence(shift: float = 0.0, unseen: int | None = None, **tree: float) -> Evidence:
    """Of 100 codes never trained on the first `unseen` find their parent."""
    found = None if unseen is None else np.arange(100) < unseen
    return Evidence(RANKS + shift, dataclasses.replace(TREE, **tree), found)


def test_a_gain_on_the_tree_without_a_loss_is_accepted() -> None:
    decision = accept_refinement(evidence(), evidence(edge_map=0.98))
    assert decision.accepted
    assert decision.reason == (
        "refinement gains: edge MAP +0.0100; held-out MRR +0.0000 (95 % +0.0000 to +0.0000)"
    )
    assert decision.numbers["edge_map_change"] == pytest.approx(0.01)


def test_less_distortion_is_a_gain() -> None:
    decision = accept_refinement(evidence(), evidence(distortion=0.05))
    assert decision.accepted
    assert "less distortion +0.0300" in decision.reason


def test_a_gain_on_unseen_codes_is_enough_beyond_noise() -> None:
    decision = accept_refinement(evidence(unseen=80), evidence(unseen=90))
    assert decision.accepted
    assert decision.reason.startswith("refinement gains on codes never trained on: held-out MRR")
    for few in (80, 81, 82):
        decision = accept_refinement(evidence(unseen=80), evidence(unseen=few))
        assert not decision.accepted
        # What was seen is reported, also where it may be noise.
        assert decision.numbers["unseen_change"] == pytest.approx((few - 80) / 100)
        assert decision.numbers["unseen_change_low"] <= 0 <= decision.numbers["unseen_change_high"]
        change = f"parents of codes never trained on +0.0{few - 80}00 (95 % "
        assert decision.reason.startswith("refinement gains nothing")
        assert change in decision.reason


def test_a_loss_on_unseen_codes_is_not_made_up_for_beyond_noise() -> None:
    before = evidence(unseen=90)
    decision = accept_refinement(before, evidence(unseen=80, edge_map=TREE.edge_map + 0.1))
    assert not decision.accepted
    assert decision.reason.startswith("refinement loses on codes never trained on")
    assert decision.numbers["unseen_change_high"] < 0
    assert accept_refinement(before, evidence(unseen=89, edge_map=TREE.edge_map + 0.1)).accepted


def test_a_loss_on_text_beyond_noise_is_refused() -> None:
    decision = accept_refinement(evidence(), evidence(shift=-0.01, edge_map=0.99))
    assert not decision.accepted
    assert decision.reason.startswith("refinement loses on text")


def test_a_loss_within_noise_is_none() -> None:
    generator = np.random.default_rng(1)
    after = Evidence(
        RANKS + generator.normal(-0.001, 0.2, len(RANKS)),
        dataclasses.replace(TREE, pearson=0.96),
    )
    decision = accept_refinement(evidence(), after)
    assert decision.accepted
    assert decision.numbers["mrr_change_low"] < 0 < decision.numbers["mrr_change_high"]


def test_a_figure_of_the_tree_that_falls_is_refused() -> None:
    decision = accept_refinement(evidence(), evidence(edge_map=0.99, pearson=0.95 - 2 * MARGIN))
    assert not decision.accepted
    assert decision.reason.startswith("refinement loses on the tree: Pearson -0.0020")


def test_no_gain_is_refused() -> None:
    decision = accept_refinement(evidence(), evidence(shift=0.1, pearson=0.95 + MARGIN / 2))
    assert not decision.accepted
    assert decision.reason.startswith("refinement gains nothing: at best Pearson +0.0005")


def test_without_held_out_text_nothing_is_accepted() -> None:
    empty = np.zeros(0)
    decision = accept_refinement(
        Evidence(empty, TREE), Evidence(empty, dataclasses.replace(TREE, pearson=0.99))
    )
    assert not decision.accepted
    assert "no held-out text" in decision.reason


def test_bootstrap_covers_the_normal_interval() -> None:
    generator = np.random.default_rng(2)
    b = generator.random(2000)
    a = b + generator.normal(0.05, 0.3, 2000)
    difference, low, high = paired_bootstrap(a, b, 2000, seed=0)
    half = 1.96 * (a - b).std(ddof=1) / np.sqrt(2000)
    assert difference == pytest.approx((a - b).mean())
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=0.1 * half)
    assert paired_bootstrap(a, b, 2000, seed=0) == (difference, low, high)
    assert paired_bootstrap(b, a, 2000, seed=0)[0] == pytest.approx(-difference)


def test_bootstrap_wants_the_same_queries() -> None:
    with pytest.raises(ValueError, match="shapes"):
        paired_bootstrap(np.zeros(3), np.zeros(4))
