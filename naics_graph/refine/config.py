"""Settings of stage 4's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from naics_graph.config import (
    require_above_zero,
    require_at_least_one,
    require_below_one,
    require_not_negative,
)
from naics_graph.refine.network import HGCNConfig
from naics_graph.refine.objective import RefineObjectiveConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig:
    """Optimisation of stage 4.

    fan_out: neighbours per relation and hop, one number per layer, -1 for all. sampler: where
    neighbours are drawn, the same ones either way: `cached` in memory, `database` in Cypher, many
    times slower; training exports the whole graph in either case. epochs: passes over all queries.
    batch_size: queries of a step, of all processes together. learning_rate: peak of one cycle,
    Adam; gate_rate: the same for gates, sharpness and temperature. blend: share of another query
    mixed into every query, in tangent space: stage 3 has learned these texts by heart and finds
    nearly all of them, blended ones are as hard to find as new texts are. warmup: share of the
    steps in which the rates rise. gradient_norm: what a longer gradient is scaled down to.
    validate_every: epochs between measurements, 0 for the last only. radius_limit: mean radius of
    the codes, in units of distance, above which the training ends; raise it with
    contrast.map.max_radius.
    """

    network: HGCNConfig = field(default_factory=HGCNConfig)
    objective: RefineObjectiveConfig = field(default_factory=RefineObjectiveConfig)
    fan_out: tuple[int, ...] = (10,)
    sampler: Literal["cached", "database"] = "cached"
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 5e-4
    gate_rate: float = 2e-2
    blend: float = 0.4
    warmup: float = 0.1
    gradient_norm: float = 5.0
    validate_every: int = 2
    radius_limit: float = 6.0

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        require_above_zero(self, "learning_rate", "gate_rate", "gradient_norm", "radius_limit")
        require_at_least_one(self, "epochs", "batch_size")
        require_below_one(self, "blend", "warmup")
        require_not_negative(self, "validate_every")
        draws = all(count > 0 or count == -1 for count in self.fan_out)
        if len(self.fan_out) != self.network.layers or not draws:
            raise ValueError(
                f"fan_out is {list(self.fan_out)}, it must name neighbours, or -1 for all, "
                f"for each of {self.network.layers} layers"
            )
