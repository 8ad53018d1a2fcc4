"""What the router did with an epoch's queries, and a warning when it has collapsed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from naics_graph.encode.mixture import routing_metrics

_log = logging.getLogger(__name__)

LOAD_ENTROPY_FLOOR: Final = 0.75
"""Load entropy below which the router counts as collapsed: two of four experts with all: 0.5."""


class RouterLog:
    """Collects the routing of queries; `epoch` sums it up and forgets it.

    Args:
        sector: (n,) sector of each code, any integers.
    """

    def __init__(self, sector: Tensor) -> None:
        self.sector = sector
        self._routing: list[Tensor] = []
        self._sector: list[Tensor] = []
        self._channel: list[Tensor] = []

    def add(self, routing: Tensor, label: Tensor, channel: Tensor) -> None:
        """Note a batch: (b, N) probabilities, (b,) codes and (b,) channels, any integers."""
        self._routing.append(routing.detach())
        self._sector.append(self.sector[label])
        self._channel.append(channel)

    def epoch(self, top_k: int) -> dict[str, float]:
        """Metrics of the batches since the last call, {} if there were none.

        Returns:
            `routing_metrics` with the mutual information of expert and sector as
            sector_information, and of expert and channel as channel_information, in nats.
        """
        if not self._routing:
            return {}
        routing = torch.cat(self._routing)
        metrics = routing_metrics(routing, torch.cat(self._sector), top_k)
        metrics["sector_information"] = metrics.pop("label_information")
        by_channel = routing_metrics(routing, torch.cat(self._channel), top_k)
        metrics["channel_information"] = by_channel["label_information"]
        for kept in (self._routing, self._sector, self._channel):
            kept.clear()
        return metrics


def warn_of_collapse(metrics: Mapping[str, float], epoch: int, weight: float) -> bool:
    """Log a warning with a remedy if an expert is dead or the load uneven; whether it did.

    Args:
        metrics: of `RouterLog.epoch`.
        epoch: for the message.
        weight: of the load-balancing loss, for the message.
    """
    dead, entropy = int(metrics["dead_experts"]), metrics["load_entropy"]
    shares = [f"{v:.2f}" for name, v in metrics.items() if name.startswith("load_share_")]
    if len(shares) == 1 or (not dead and entropy >= LOAD_ENTROPY_FLOOR):
        return False
    _log.warning(
        "the router has collapsed in epoch %d: %d experts get no query, load shares %s, entropy "
        "%.2f (at least %.2f is sound); raise contrast.objective.weights.load_balance (%g), raise "
        "contrast.objective.weights.router_z, or lower contrast.map.mixture.experts",
        epoch, dead, " ".join(shares), entropy, LOAD_ENTROPY_FLOOR, weight,
    )  # fmt: skip
    return True
