"""Stage 2: a mixture of experts. A router sends every item to the few experts that suit it.

Losses and metrics of the router after Fedus et al. 2021, "Switch Transformers" (load balance) and
Zoph et al. 2022, "ST-MoE" (router z-loss).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig:
    """Shape of the mixture, N experts of one shape.

    experts: N. top_k: how many of them see an item. hidden: width inside one.
    """

    experts: int = 4
    top_k: int = 2
    hidden: int = 256

    def __post_init__(self) -> None:
        """Refuse a mixture no router can serve."""
        if not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k is {self.top_k}, it must be within 1 and experts")
        if self.hidden < 1:
            raise ValueError(f"hidden is {self.hidden}, it must be at least 1")


class MixtureOutput(NamedTuple):
    """mixed (b, w); logits (b, N) of the router; routing (b, N) probabilities; gate (b, N) weights
    of the top_k experts each item was sent to, zero for the others.
    """

    mixed: Tensor
    logits: Tensor
    routing: Tensor
    gate: Tensor


class MixtureOfExperts(nn.Module):
    """Top-k of N two-layer perceptrons, weighted by their share of the chosen probabilities.

    Each expert computes the rows it was chosen for; computing all of them and masking takes two to
    three times as long at 2,625 items of width 512.
    """

    def __init__(self, config: MixtureConfig, width: int) -> None:
        """Args: width: w of the items, in and out."""
        super().__init__()
        self.config = config
        n, hidden = config.experts, config.hidden
        self.router = nn.Linear(width, n, bias=False)
        self.into = nn.Parameter(torch.empty(n, width, hidden))
        self.into_bias = nn.Parameter(torch.zeros(n, hidden))
        self.out = nn.Parameter(torch.empty(n, hidden, width))
        self.out_bias = nn.Parameter(torch.zeros(n, width))
        # Small router weights: experts begin near an even load and part by what they learn.
        nn.init.normal_(self.router.weight, std=0.1 / math.sqrt(width))
        nn.init.normal_(self.into, std=1.0 / math.sqrt(width))
        nn.init.normal_(self.out, std=1.0 / math.sqrt(hidden))

    def forward(self, items: Tensor) -> MixtureOutput:
        """Mix for items (b, w)."""
        logits = self.router(items)
        routing = logits.softmax(dim=-1)
        gate = top_k_gate(routing, self.config.top_k)
        mixed = torch.zeros_like(items)
        for i in range(self.config.experts):
            rows = torch.nonzero(gate[:, i]).squeeze(1)
            output = self._expert(i, items[rows]) * gate[rows, i : i + 1]
            mixed = mixed.index_add(0, rows, output)
        return MixtureOutput(mixed, logits, routing, gate)

    def _expert(self, i: int, items: Tensor) -> Tensor:
        inner = torch.nn.functional.gelu(torch.addmm(self.into_bias[i], items, self.into[i]))
        return torch.addmm(self.out_bias[i], inner, self.out[i])


def top_k_gate(routing: Tensor, top_k: int) -> Tensor:
    """(b, N) weights: the k largest probabilities, scaled to sum to 1; zero for the others."""
    chosen, index = routing.topk(top_k, dim=-1)
    weights = chosen / chosen.sum(dim=-1, keepdim=True)
    return torch.zeros_like(routing).scatter(-1, index, weights)


def load_balance_loss(routing: Tensor, counts: Tensor) -> Tensor:
    """N · sum f_i P_i: 1 when experts are chosen evenly, N when one takes everything.

    f_i is expert i's share of the choices, a constant; P_i its mean probability, which learns.

    Args:
        routing: (b, N) probabilities.
        counts: (N,) choices, of the global batch where there is one.

    Returns:
        () within [0, N].
    """
    share = counts.detach().to(routing.dtype)
    share = share / share.sum().clamp(min=1)
    return routing.shape[1] * (share * routing.mean(dim=0)).sum()


def router_z_loss(logits: Tensor) -> Tensor:
    """Mean of logsumexp(logits)² over items (b, N): () at least 0; keeps logits small."""
    return logits.logsumexp(dim=-1).square().mean()


def routing_metrics(
    routing: Tensor, labels: Tensor, top_k: int = MixtureConfig().top_k
) -> dict[str, float]:
    """Whether the router has collapsed, and what it has learned.

    Args:
        routing: (b, N) probabilities.
        labels: (b,) integers, such as each item's sector.
        top_k: experts an item is sent to.

    Returns:
        load_share_i: expert i's share of the choices, summing to 1. load_entropy: of those shares,
        router_entropy: of an item's probabilities, on average; both over log N, within 0 and 1.
        dead_experts: how many are chosen by no item. label_information: mutual information of
        expert and label in nats, an item choosing by its probabilities; at most log N.
    """
    routing = routing.detach().double()
    counts = (top_k_gate(routing, top_k) > 0).sum(dim=0).double()
    share = counts / counts.sum().clamp(min=1)
    full = math.log(routing.shape[1]) or 1.0
    metrics = {f"load_share_{i}": float(value) for i, value in enumerate(share)}
    return metrics | {
        "load_entropy": float(_entropy(share)) / full,
        "router_entropy": float(_entropy(routing).mean()) / full,
        "dead_experts": float((counts == 0).sum()),
        "label_information": _label_information(routing, labels),
    }


def _entropy(probabilities: Tensor) -> Tensor:
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim=-1)


def _label_information(routing: Tensor, labels: Tensor) -> float:
    """I(expert; label) = H(expert) - sum over labels of p(label) H(expert | label)."""
    _, index, size = torch.unique(labels, return_inverse=True, return_counts=True)
    sums = routing.new_zeros(len(size), routing.shape[1]).index_add_(0, index, routing)
    given_label = _entropy(sums / size[:, None])
    return float(_entropy(routing.mean(dim=0)) - (given_label * size).sum() / size.sum())
