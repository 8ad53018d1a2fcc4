"""What is said of an epoch's routing, and when it warns."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from naics_graph.contrast.router_log import RouterLog, warn_of_collapse


def test_information_of_sector_and_channel_are_told_apart() -> None:
    log = RouterLog(torch.tensor([0, 0, 7, 7]))
    # The expert follows the sector exactly and knows nothing of the channel.
    label = torch.tensor([0, 1, 2, 3])
    routing = torch.eye(2)[torch.tensor([0, 0, 1, 1])]
    for _ in range(2):
        log.add(routing, label, torch.tensor([0, 3, 0, 3]))
    metrics = log.epoch(1)
    assert metrics["sector_information"] == pytest.approx(math.log(2))
    assert metrics["channel_information"] == pytest.approx(0.0, abs=1e-12)
    assert [metrics["load_share_0"], metrics["load_share_1"]] == [0.5, 0.5]
    assert metrics["dead_experts"] == 0
    assert "label_information" not in metrics
    assert log.epoch(1) == {}, "an epoch is told once"


@pytest.mark.parametrize(
    ("experts", "top_k", "warns"),
    [([0, 1, 2, 3], 1, False), ([0, 0, 0, 0], 1, True), ([0, 0, 1, 2], 1, True)],
)
def test_a_collapse_is_warned_of_with_a_remedy(
    experts: list[int], top_k: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log = RouterLog(torch.zeros(4, dtype=torch.int64))
    log.add(torch.eye(4)[experts], torch.arange(4), torch.zeros(4, dtype=torch.int64))
    with caplog.at_level(logging.WARNING):
        assert warn_of_collapse(log.epoch(top_k), 3, 0.01) is warns
    assert ("contrast.objective.weights.load_balance (0.01)" in caplog.text) is warns
    assert ("in epoch 3" in caplog.text) is warns


def test_an_uneven_load_without_dead_experts_is_a_collapse_too() -> None:
    even = {"load_share_0": 0.5, "load_share_1": 0.5, "dead_experts": 0.0}
    assert warn_of_collapse(even | {"load_entropy": 0.5}, 1, 0.01)
    assert not warn_of_collapse(even | {"load_entropy": 0.9}, 1, 0.01)


def test_one_expert_cannot_collapse() -> None:
    assert not warn_of_collapse(
        {"load_share_0": 1.0, "dead_experts": 0.0, "load_entropy": 0.0}, 1, 0.01
    )
