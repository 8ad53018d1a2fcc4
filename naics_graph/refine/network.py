"""The refinement network: one or two Lorentz convolutions for codes, entries and isolated queries.

Importing this module does not import PyTorch Geometric; only a graph does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from naics_graph.config import require_below_one
from naics_graph.refine.layers import DEPTHS, SELF, LorentzConv, Weighting
from naics_graph.store.contract import GraphExport, Relation
from naics_graph.taxonomy.model import level_of

INDUSTRY: Final = "industry"
RELATIONS: Final = (
    "has_child",
    "rev_has_child",
    "excludes",
    "rev_excludes",
    "classified_as",
    "rev_classified_as",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HGCNConfig:
    """Shape of the network.

    layers: 1 or 2. relations: names of the relations listened to. A sixth is `rev_classified_as`,
    by which entries listen, and pass on what they hear in a second layer. weighting: how a
    relation's messages share their weight: `degree` equally, `attention` by their distance from the
    listener, which starts as `degree`. dropout: share of a training step's edges left out, the same
    ones in both layers.
    """

    layers: int = 1
    relations: tuple[str, ...] = RELATIONS[:-1]
    weighting: Weighting = "attention"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse shapes that do not exist."""
        if self.layers not in (1, 2):
            raise ValueError(f"layers is {self.layers}, it must be 1 or 2")
        unknown = sorted(set(self.relations) - set(RELATIONS))
        if unknown or len(set(self.relations)) < len(self.relations):
            raise ValueError(f"relations must be distinct names of {', '.join(RELATIONS)}")
        require_below_one(self, "dropout")


class RefineNetwork(nn.Module):
    """Hyperbolic graph convolution that starts as the identity.

    Args:
        config: its shape. dim: d of points (..., d+1). curvature: the c > 0 all layers share.
    """

    def __init__(self, config: HGCNConfig, dim: int, curvature: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            LorentzConv(dim, config.relations, curvature, weighting=config.weighting)
            for _ in range(config.layers)
        )

    def forward(
        self, points: Mapping[str, Tensor], edges: Mapping[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """Codes after all layers.

        Args:
            points: (n_t, d+1) by node type.
            edges: (2, e) by relation.
            depth: (n,) of the codes, 1-5.

        Returns:
            (n, d+1).
        """
        leaf = depth.new_tensor(DEPTHS)
        depths = {t: depth if t == INDUSTRY else leaf.expand(len(p)) for t, p in points.items()}
        moved = dict(points)
        *inner, last = self._layers()
        for convolution in inner:
            moved = convolution(moved, edges, depths)
        codes: Tensor = last(moved, edges, {INDUSTRY: depth})[INDUSTRY]
        return codes

    def refine_codes(self, graph: GraphExport, code_points: Tensor, entry_points: Tensor) -> Tensor:
        """All codes (n, d+1) refined on the whole graph.

        Args:
            graph: the exported topology.
            code_points: (n, d+1), in the order of `graph.codes`.
            entry_points: (m, d+1), in the order of `graph.entries`.
        """
        from naics_graph.refine.graph import ENTRY, relations

        points = {INDUSTRY: code_points.double(), ENTRY: entry_points.double()}
        depth = torch.tensor([level_of(code) - 1 for code in graph.codes])
        moved: Tensor = self(points, relations(graph), depth)
        return moved

    def refine_queries(self, points: Tensor) -> Tensor:
        """Texts (q, d+1) as nodes without neighbours: (q, d+1)."""
        for convolution in self._layers():
            points = convolution.isolated(points)
        return points

    @torch.no_grad()
    def project(self) -> None:
        """Keep gates at or above zero, after an optimiser's step."""
        for convolution in self._layers():
            convolution.project()

    def gates(self) -> dict[str, float]:
        """Mean weight of every relation's messages by layer: `gate.1.has_child` ..."""
        return {
            f"gate.{number}.{name}": float(convolution.gates(name).detach().mean())
            for number, convolution in enumerate(self._layers(), start=1)
            for name in (SELF, *convolution.relations)
        }

    def _layers(self) -> list[LorentzConv]:
        return [layer for layer in self.convolutions if isinstance(layer, LorentzConv)]
