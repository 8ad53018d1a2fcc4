"""Losses against hand computations, their minima, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch

from naics_graph.contrast.losses import (
    decoupled_contrastive,
    hierarchy_preservation,
    radius_regularisation,
    smoothed_cross_entropy,
)

ONE = torch.tensor(1.0, dtype=torch.float64)


def test_decoupled_contrastive_leaves_the_positive_out_of_the_sum() -> None:
    distance = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    loss = decoupled_contrastive(distance, torch.tensor([0]), ONE / 2)
    by_hand = 1.0 / 0.5 + math.log(math.exp(-2.0 / 0.5) + math.exp(-4.0 / 0.5))
    assert float(loss) == pytest.approx(by_hand, rel=1e-12)


def test_decoupled_contrastive_pulls_the_positive_however_easy_it_is() -> None:
    distance = torch.tensor([[0.01, 50.0, 60.0]], dtype=torch.float64, requires_grad=True)
    decoupled_contrastive(distance, torch.tensor([0]), ONE).backward()  # type: ignore[no-untyped-call]
    assert distance.grad is not None
    assert distance.grad[0, 0] == pytest.approx(1.0)
    assert distance.grad[0, 1:].sum() == pytest.approx(-1.0)
    # The coupled loss has let go of the same example.
    coupled = distance.detach().requires_grad_()
    smoothed_cross_entropy(coupled, torch.tensor([0]), ONE, 0.0).backward()  # type: ignore[no-untyped-call]
    assert coupled.grad is not None
    assert abs(coupled.grad[0, 0]) < 1e-12


def test_smoothed_cross_entropy_by_hand() -> None:
    distance = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    log_p = [-math.log(1 + math.exp(-2.0)), -math.log(1 + math.exp(2.0))]
    by_hand = -(0.95 * log_p[0] + 0.05 * log_p[1])
    loss = smoothed_cross_entropy(distance, torch.tensor([0]), ONE, 0.1)
    assert float(loss) == pytest.approx(by_hand, rel=1e-12)


def test_hierarchy_preservation_vanishes_exactly_on_the_scaled_tree_metric() -> None:
    tree = torch.tensor([[0.0, 2.0, 4.0], [2.0, 0.0, 3.0]], dtype=torch.float64)
    scale = torch.tensor(1.6, dtype=torch.float64, requires_grad=True)
    assert float(hierarchy_preservation(tree / 1.6, tree, scale.detach())) == pytest.approx(
        0.0, abs=1e-20
    )
    loss = hierarchy_preservation(tree / 2.0, tree, scale)
    weight = 1.0 / (1.0 + tree)
    by_hand = float((weight * (0.8 * tree - tree) ** 2).sum() / weight.sum())
    assert float(loss.detach()) == pytest.approx(by_hand, rel=1e-12)
    loss.backward()  # type: ignore[no-untyped-call]
    assert scale.grad is not None
    assert scale.grad < 0, "distances are too short, so the scale must grow"


def test_radius_regularisation_is_zero_at_step_times_depth() -> None:
    depth = torch.arange(1, 6)
    assert float(radius_regularisation(0.6 * depth, depth, 0.6)) == pytest.approx(0.0, abs=1e-12)
    radius = (0.6 * depth + 0.1).requires_grad_()
    loss = radius_regularisation(radius, depth, 0.6)
    assert float(loss.detach()) == pytest.approx(0.01, rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert radius.grad is not None
    assert (radius.grad > 0).all()
