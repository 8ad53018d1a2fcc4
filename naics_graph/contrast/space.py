"""The space codes and queries share: one map for both, a residual for known codes.

A text's image is exp0 of the tangent vector the map emits. A known code adds a learned residual to
the image of its texts; it starts at zero and stays zero for a code never trained on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from naics_graph.encode.channels import query_features
from naics_graph.encode.lexical import LexicalConfig
from naics_graph.encode.reader import TextInputs, TextReader
from naics_graph.encode.text_map import TextMap, TextMapConfig, TextMapOutput
from naics_graph.geometry import lorentz

TEMPERATURES: Final = (0.02, 2.0)
"""Bounds of the softmax temperature, in units of distance."""


@dataclass(frozen=True)
class CodeImages:
    """Tangent vectors at the origin of all codes (n, d) float64, and what the map said of them."""

    tangent: Tensor
    text: TextMapOutput


class CodeSpace(nn.Module):
    """Reader, text map, code residuals, temperature and tree scale at one fixed curvature -c."""

    trained: Tensor

    def __init__(
        self,
        config: TextMapConfig,
        lexical: LexicalConfig,
        *,
        hidden_size: int,
        trained: Tensor,
        curvature: float,
        temperature: float,
        scale: float,
    ) -> None:
        """Args: hidden_size: h of the backbone; trained: (n,) bool, codes with a residual."""
        super().__init__()
        self.curvature = curvature
        self.max_radius = config.max_radius
        self.reader = TextReader(lexical, hidden_size)
        self.text_map = TextMap(config, self.reader.size, self.reader.lexical_size)
        self.residual = nn.Parameter(torch.zeros(len(trained), config.dim, dtype=torch.float32))
        self.log_temperature = nn.Parameter(torch.tensor(temperature, dtype=torch.float64).log())
        self.log_scale = nn.Parameter(torch.tensor(scale, dtype=torch.float64).log())
        self.register_buffer("trained", trained)

    @property
    def temperature(self) -> Tensor:
        """() the softmax temperature in units of distance."""
        return self.log_temperature.exp()

    @torch.no_grad()
    def bound_temperature(self) -> None:
        """Bring the temperature back within TEMPERATURES after a step.

        A bound in the forward pass would have no gradient beyond it: no way back.
        """
        self.log_temperature.clamp_(*map(math.log, TEMPERATURES))

    @property
    def scale(self) -> Tensor:
        """() edges of the tree per unit of distance."""
        return self.log_scale.exp()

    def known_residual(self) -> Tensor:
        """(n, d) the residuals in use: zero for codes never trained on."""
        return self.residual * self.trained[:, None]

    @property
    def device(self) -> torch.device:
        """Where the space computes; inputs may come from elsewhere."""
        return self.residual.device

    def codes(
        self, vectors: Tensor, mask: Tensor, rows: slice | Tensor = slice(None)
    ) -> CodeImages:
        """Images of codes from their channels: (n, 4, w) float32 and (n, 4) bool.

        `rows` says which of all n codes these are, by slice or position.
        """
        text = self.text_map(vectors.to(self.device), mask.to(self.device))
        return CodeImages(self.placed(text, self.known_residual()[rows]), text)

    def placed(self, text: TextMapOutput, residual: Tensor) -> Tensor:
        """(b, d) float64 tangent vectors of texts moved by residuals (b, d)."""
        return lorentz.bound_radius(text.unbounded + residual.double(), self.max_radius)

    def queries(self, inputs: TextInputs, channel: Tensor) -> TextMapOutput:
        """Images of b queries, each one text in the one channel (b,) given."""
        vectors = self.reader(inputs, channel).to(self.device)
        output: TextMapOutput = self.text_map(*query_features(vectors, channel))
        return output
