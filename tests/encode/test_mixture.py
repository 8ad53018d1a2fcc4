"""The mixture against a loop over items and experts; losses and metrics against hand results."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu

from naics_graph.config import load_mapping
from naics_graph.encode.mixture import (
    MixtureConfig,
    MixtureOfExperts,
    load_balance_loss,
    router_z_loss,
    routing_metrics,
    top_k_gate,
)
from naics_graph.errors import ConfigError

WIDTH = 6


def mixture_of(experts: int = 4, top_k: int = 2, seed: int = 0) -> MixtureOfExperts:
    """A float64 mixture with a router that has opinions."""
    torch.manual_seed(seed)
    mixture = MixtureOfExperts(MixtureConfig(experts=experts, top_k=top_k, hidden=5), WIDTH)
    mixture = mixture.double()
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter)
    return mixture


@torch.no_grad()
def by_hand(mixture: MixtureOfExperts, item: Tensor) -> Tensor:
    """The mixture of one item, from the definition."""
    scores = [float(row @ item) for row in mixture.router.weight]
    best = sorted(range(len(scores)), key=lambda i: -scores[i])[: mixture.config.top_k]
    weights = [math.exp(scores[i]) for i in best]
    result = torch.zeros(WIDTH, dtype=torch.float64)
    for i, weight in zip(best, weights, strict=True):
        inner = gelu(item @ mixture.into[i] + mixture.into_bias[i])
        result = result + weight / sum(weights) * (inner @ mixture.out[i] + mixture.out_bias[i])
    return result


@pytest.mark.parametrize(("experts", "top_k"), [(4, 2), (4, 1), (3, 3), (1, 1)])
def test_equals_the_definition_item_by_item(experts: int, top_k: int) -> None:
    mixture = mixture_of(experts, top_k)
    items = torch.randn(20, WIDTH, dtype=torch.float64)
    output = mixture(items)
    expected = torch.stack([by_hand(mixture, item) for item in items])
    torch.testing.assert_close(output.mixed, expected)
    torch.testing.assert_close(output.routing, output.logits.softmax(dim=1))
    assert int((output.gate > 0).sum()) == 20 * top_k


def test_gradients_reach_chosen_experts_router_and_items() -> None:
    mixture = mixture_of()
    items = torch.randn(6, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: mixture(x).mixed, (items,))
    mixture(items).mixed.square().sum().backward()
    gradient = mixture.router.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_an_expert_nobody_chose_learns_nothing() -> None:
    mixture = mixture_of()
    with torch.no_grad():
        mixture.router.weight.zero_()
        mixture.router.weight[:2, 0] = 1.0
        mixture.router.weight[3, 0] = -1.0
    items = torch.rand(10, WIDTH, dtype=torch.float64) + 0.1
    output = mixture(items)
    assert (output.gate > 0).sum(dim=0).tolist() == [10, 10, 0, 0]
    output.mixed.square().sum().backward()
    assert mixture.into.grad is not None
    assert mixture.into.grad[:2].abs().sum(dim=(1, 2)).min() > 0
    assert not mixture.into.grad[2:].any()


def test_no_items() -> None:
    output = mixture_of()(torch.zeros(0, WIDTH, dtype=torch.float64))
    assert output.mixed.shape == (0, WIDTH)
    assert (output.gate > 0).sum(dim=0).tolist() == [0, 0, 0, 0]


def test_the_gate_keeps_the_largest_and_sums_to_one() -> None:
    gate = top_k_gate(torch.tensor([[0.5, 0.1, 0.3, 0.1]]), 2)
    torch.testing.assert_close(gate, torch.tensor([[0.625, 0.0, 0.375, 0.0]]))


@pytest.mark.parametrize("experts", [2, 4, 7])
def test_load_balance_is_one_at_balance_and_n_at_collapse(experts: int) -> None:
    even = torch.full((12, experts), 1 / experts)
    assert float(load_balance_loss(even, torch.full((experts,), 24))) == pytest.approx(1.0)
    one_hot = torch.eye(experts)[torch.zeros(12, dtype=torch.int64)]
    collapsed = load_balance_loss(one_hot, torch.tensor([12] + [0] * (experts - 1)))
    assert float(collapsed) == pytest.approx(experts)


def test_load_balance_by_hand_with_counts_of_a_larger_batch() -> None:
    routing = torch.tensor([[0.7, 0.3], [0.5, 0.5]], dtype=torch.float64)
    loss = load_balance_loss(routing, torch.tensor([30, 10]))
    assert float(loss) == pytest.approx(2 * (0.75 * 0.6 + 0.25 * 0.4))


def test_load_balance_learns_through_probabilities_alone() -> None:
    routing = torch.tensor([[0.7, 0.3]], requires_grad=True)
    counts = torch.tensor([3.0, 1.0], requires_grad=True)
    load_balance_loss(routing, counts).backward()  # type: ignore[no-untyped-call]
    assert counts.grad is None
    torch.testing.assert_close(routing.grad, torch.tensor([[1.5, 0.5]]))


def test_router_z_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    expected = (math.log(2.0) ** 2 + math.log(4.0) ** 2) / 2
    assert float(router_z_loss(logits)) == pytest.approx(expected)


def test_metrics_of_a_router_that_knows_the_label() -> None:
    # Two labels of equal size, each with an expert of its own: one bit, log 2 nats.
    routing = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    metrics = routing_metrics(routing, torch.tensor([7, 7, 3, 3]), top_k=1)
    assert metrics["label_information"] == pytest.approx(math.log(2.0))
    assert [metrics[f"load_share_{i}"] for i in range(3)] == [0.5, 0.5, 0.0]
    assert metrics["dead_experts"] == 1
    assert metrics["router_entropy"] == pytest.approx(0.0)
    assert metrics["load_entropy"] == pytest.approx(math.log(2.0) / math.log(3.0))


def test_metrics_of_a_router_that_knows_nothing() -> None:
    routing = torch.full((6, 4), 0.25)
    metrics = routing_metrics(routing, torch.tensor([0, 0, 1, 1, 2, 2]), top_k=4)
    assert metrics["label_information"] == pytest.approx(0.0, abs=1e-12)
    assert metrics["router_entropy"] == pytest.approx(1.0)
    assert metrics["load_entropy"] == pytest.approx(1.0)
    assert metrics["dead_experts"] == 0


def test_label_information_equals_scikit_learn() -> None:
    from sklearn.metrics import mutual_info_score

    generator = torch.Generator().manual_seed(0)
    expert = torch.randint(0, 3, (200,), generator=generator)
    label = (expert + torch.randint(0, 2, (200,), generator=generator)) % 5
    metrics = routing_metrics(torch.eye(3)[expert], label, top_k=1)
    assert metrics["label_information"] == pytest.approx(mutual_info_score(label, expert))


def test_metrics_of_a_single_expert() -> None:
    metrics = routing_metrics(torch.ones(5, 1), torch.arange(5), top_k=1)
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("values", [{"top_k": 5}, {"top_k": 0}, {"hidden": 0}, {"experts": 0}])
def test_a_mixture_no_router_can_serve_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        load_mapping(MixtureConfig, values)
