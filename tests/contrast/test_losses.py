"""Losses against hand computations, their minima, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from naics_graph.contrast.losses import (
    decoupled_contrastive,
    hierarchy_preservation,
    lambda_rank,
    ndcg_changes,
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
    decoupled_contrastive(distance, torch.tensor([0]), ONE).sum().backward()  # type: ignore[no-untyped-call]
    assert distance.grad is not None
    assert distance.grad[0, 0] == pytest.approx(1.0)
    assert distance.grad[0, 1:].sum() == pytest.approx(-1.0)
    # The coupled loss has let go of the same example.
    coupled = distance.detach().requires_grad_()
    smoothed_cross_entropy(coupled, torch.tensor([0]), ONE, 0.0).sum().backward()  # type: ignore[no-untyped-call]
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


def lists(seed: int, rows: int = 3, size: int = 7) -> tuple[Tensor, Tensor]:
    """Distances and tree distances of `rows` lists, with ties in the tree."""
    generator = torch.Generator().manual_seed(seed)
    distance = 4.0 * torch.rand(rows, size, generator=generator, dtype=torch.float64)
    return distance, torch.randint(1, 6, (rows, size), generator=generator)


def ndcg(order: list[int], tree: list[int]) -> float:
    def dcg(values: list[int]) -> float:
        return sum(2.0 ** -tree[i] / math.log2(place + 2) for place, i in enumerate(values))

    return dcg(order) / dcg(sorted(range(len(tree)), key=lambda i: tree[i]))


@pytest.mark.parametrize("seed", range(3))
def test_lambda_rank_weighs_by_what_a_swap_changes(seed: int) -> None:
    distance, tree = lists(seed)
    changes = ndcg_changes(distance, tree)
    for row in range(len(distance)):
        order = sorted(range(7), key=lambda i: float(distance[row, i]))
        before = ndcg(order, tree[row].tolist())
        for i in range(7):
            for j in range(7):
                swapped = [{i: j, j: i}.get(k, k) for k in order]
                expected = abs(ndcg(swapped, tree[row].tolist()) - before)
                assert float(changes[row, i, j]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_lambda_rank_by_hand(seed: int) -> None:
    distance, tree = lists(seed)
    changes = ndcg_changes(distance, tree)
    total = 0.0
    for row in range(len(distance)):
        for i in range(7):
            for j in range(7):
                if tree[row, i] < tree[row, j]:
                    gap = float(distance[row, i] - distance[row, j]) / 0.3
                    total += float(changes[row, i, j]) * math.log1p(math.exp(gap))
    assert float(lambda_rank(distance, tree, 0.3)) == pytest.approx(total / 3, rel=1e-12)


def test_a_step_against_lambda_rank_raises_ndcg() -> None:
    distance, tree = lists(5, rows=20)
    distance.requires_grad_()
    for _ in range(200):
        loss = lambda_rank(distance, tree, 0.3)
        (slope,) = torch.autograd.grad(loss, distance)
        assert slope.sum(dim=1).abs().max() < 1e-12, "only differences count"
        distance = (distance - 2.0 * slope).detach().requires_grad_()
    first, _ = lists(5, rows=20)

    def quality(values: Tensor) -> float:
        orders = values.argsort(dim=1).tolist()
        return sum(ndcg(o, t) for o, t in zip(orders, tree.tolist(), strict=True)) / len(orders)

    assert quality(first) < 0.9
    assert quality(distance.detach()) > 0.999


def test_lambda_rank_lets_equals_be() -> None:
    distance = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    assert float(lambda_rank(distance, torch.tensor([[2, 2, 2]]), 0.3).detach()) == 0.0


def match_losses(
    distance: Tensor, positive: Tensor, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    return (
        decoupled_contrastive(distance, positive, ONE / 2, allowed).mean(),
        smoothed_cross_entropy(distance, positive, ONE / 2, 0.1, allowed).mean(),
    )


def test_negatives_that_are_not_allowed_are_as_if_they_were_not_there() -> None:
    distance, _ = lists(0)
    positive = torch.tensor([2, 0, 6])
    allowed = torch.rand(distance.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    allowed[torch.arange(3), positive] = torch.tensor([True, False, False])
    expected = torch.zeros(2, dtype=torch.float64)
    for row in range(3):
        use = allowed[row].clone()
        use[positive[row]] = True
        place = int(use[: positive[row]].sum())
        short = distance[row : row + 1, use]
        expected += torch.stack(match_losses(short, torch.tensor([place]), None)) / 3
    found = torch.stack(match_losses(distance, positive, allowed))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    everything = torch.ones_like(allowed)
    torch.testing.assert_close(
        torch.stack(match_losses(distance, positive, everything)),
        torch.stack(match_losses(distance, positive, None)),
        rtol=1e-12,
        atol=1e-12,
    )


def test_a_row_without_negatives_counts_as_nothing_and_leaves_no_nan() -> None:
    distance, _ = lists(0)
    distance.requires_grad_()
    positive = torch.tensor([2, 0, 6])
    allowed = torch.zeros(distance.shape, dtype=torch.bool)
    allowed[0, 3] = True
    for loss in match_losses(distance, positive, allowed):
        (slope,) = torch.autograd.grad(loss, distance, retain_graph=True)
        assert torch.isfinite(slope).all()
        assert slope[0].abs().sum() > 0
        assert slope[1:].abs().sum() == 0
    alone = match_losses(distance[:1], positive[:1], allowed[:1])
    for loss, of_one in zip(match_losses(distance, positive, allowed), alone, strict=True):
        assert float(loss.detach()) == pytest.approx(float(of_one.detach()) / 3, rel=1e-12)
