"""The map of texts: four masked channels in, a tangent vector at the origin out.

Codes and queries go through the same map; a query is one text in one channel, the others masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from naics_graph.config import require_above_zero
from naics_graph.encode.mixture import MixtureConfig, MixtureOfExperts
from naics_graph.geometry import lorentz
from naics_graph.taxonomy.model import CHANNELS

_FIRST_RADIUS: Final = 1.5
"""Radius at which untrained images lie, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMapConfig:
    """Shape of the map from text vectors to tangent vectors.

    dim: d of the tangent vectors. width: of the hidden states. max_radius: bound on the length of
    tangent vectors. dropout: of hidden units. channel_dropout: chance that a channel of a code is
    masked in training, which the objective draws; one always stays.
    """

    dim: int = 64
    width: int = 384
    max_radius: float = 6.0
    dropout: float = 0.0
    channel_dropout: float = 0.2
    mixture: MixtureConfig = field(default_factory=MixtureConfig)

    def __post_init__(self) -> None:
        """Refuse shapes and rates no map can have."""
        require_above_zero(self, "dim", "width", "max_radius")
        for name in ("dropout", "channel_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be within 0 and 1")


class TextMapOutput(NamedTuple):
    """What the map says of b items.

    tangent: (b, d) float64, shorter than max_radius. unbounded: (b, d) float64, the same before the
    bound. fused: (b, width) the state after the mixture. routing: (b, N) probabilities, and
    router_logits (b, N) before the softmax. present: (b,) bool, items with a channel at all: the
    others lie at the origin. counts: (N,) present items each expert was chosen for.
    """

    tangent: Tensor
    unbounded: Tensor
    fused: Tensor
    routing: Tensor
    router_logits: Tensor
    present: Tensor
    counts: Tensor


class TextMap(nn.Module):
    """Projections per channel, their masked mean, a mixture of experts, a head; float32."""

    def __init__(self, config: TextMapConfig, features: int, lexical: int = 0) -> None:
        """Args: features: w, the width of a text vector. lexical: so many of its last columns also
        go straight into the tangent vector, past the mixture.
        """
        super().__init__()
        self.config, self.lexical = config, lexical
        channels, width = len(CHANNELS), config.width
        self.project = nn.Parameter(torch.empty(channels, features, width))
        self.channel = nn.Parameter(torch.empty(channels, width))
        self.norm = nn.LayerNorm(width)
        self.mixture = MixtureOfExperts(config.mixture, width)
        self.fused_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, config.dim)
        self.shortcut = nn.Parameter(torch.zeros(lexical, config.dim))
        # The norm behind makes the scale free, and Adam's steps have one size: weights of unit
        # variance would hardly learn (MRR .02 lower after the same steps).
        scale = 1.0 / math.sqrt(features)
        nn.init.normal_(self.project, std=scale)
        nn.init.normal_(self.channel, std=0.1 * scale)
        nn.init.normal_(self.head.weight, std=_FIRST_RADIUS / math.sqrt(width * config.dim))
        nn.init.zeros_(self.head.bias)

    def forward(self, vectors: Tensor, mask: Tensor) -> TextMapOutput:
        """Map items.

        Args:
            vectors: (b, 4, w) float32, read only where the mask is True.
            mask: (b, 4) bool. A row that is False throughout gives the origin.
        """
        weight = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
        seen = vectors.masked_fill(~mask.unsqueeze(-1), 0.0) * weight.unsqueeze(-1)
        mean = seen.flatten(1) @ self.project.flatten(0, 1) + weight @ self.channel
        state = self.dropout(torch.nn.functional.gelu(self.norm(mean)))
        mixture = self.mixture(state)
        present = mask.any(dim=1, keepdim=True)
        fused = self.fused_norm(state + mixture.mixed) * present
        direct = seen[..., seen.shape[-1] - self.lexical :].sum(dim=1) @ self.shortcut
        unbounded = ((self.head(self.dropout(fused)) + direct) * present).double()
        return TextMapOutput(
            tangent=lorentz.bound_radius(unbounded, self.config.max_radius),
            unbounded=unbounded,
            fused=fused,
            routing=mixture.routing,
            router_logits=mixture.logits,
            present=present.squeeze(1),
            counts=(mixture.gate[present.squeeze(1)] > 0).sum(dim=0),
        )


def drop_channels(mask: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """(b, 4) a mask with each channel dropped at a rate; rows that would lose all keep all."""
    drawn = torch.rand(mask.shape, generator=generator, device=mask.device)
    kept = mask & (drawn >= rate)
    return torch.where(kept.any(dim=1, keepdim=True), kept, mask)
