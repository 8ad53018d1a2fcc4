"""The objective of stage 4: named parts over the refined codes, each switchable by its weight.

Several processes share a step: each has all refined codes, gathered with gradient, and its part of
the queries, and each part of the loss is a process's share, so that the sum over the processes is
what one process computes. A process with none of a step's anchors has a share of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from naics_graph.config import require_below_one
from naics_graph.contrast.losses import (
    hierarchy_preservation,
    radius_regularisation,
    smoothed_cross_entropy,
    stress_weight,
)
from naics_graph.contrast.optimisation import weighted
from naics_graph.distributed import World
from naics_graph.geometry import lorentz
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineWeights:
    """Weight of each part; zero switches it off.

    query_code: a query is nearest its own code, among the codes of that code's level. triplet: a
    code is nearer its parent and children than anything else. radius: radius follows depth.
    hierarchy: distances follow the tree.
    """

    query_code: float = 1.0
    triplet: float = 0.2
    radius: float = 0.1
    hierarchy: float = 4.0

    def __post_init__(self) -> None:
        """Refuse negative weights."""
        if min(self.query_code, self.triplet, self.radius, self.hierarchy) < 0:
            raise ValueError("weights of losses must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineObjectiveConfig:
    """How the parts are measured.

    margin: of the triplet, in units of distance. smoothing: of the labels of query -> code, in
    [0, 1). temperature: at the start, in units of distance; learned. sampled_codes: anchors a step
    for triplet and hierarchy, against all codes.
    """

    weights: RefineWeights = field(default_factory=RefineWeights)
    margin: float = 0.2
    smoothing: float = 0.0
    temperature: float = 0.16
    sampled_codes: int = 384

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        if not self.temperature > 0 or self.sampled_codes < 1 or self.margin < 0:
            raise ValueError("temperature and sampled_codes must be above 0, margin 0 or more")
        require_below_one(self, "smoothing")


def hyperbolic_triplet(
    positive: Tensor, distance: Tensor, allowed: Tensor, margin: float
) -> Tensor:
    """Triplet loss with the hardest negative: d(a, p) + margin <= min d(a, n).

    Args:
        positive: (k,) distances of anchors to their positives.
        distance: (k, n) distances of the same anchors to all candidates.
        allowed: (k, n) bool, the candidates that are negatives.
        margin: >= 0, in units of distance.

    Returns:
        () mean hinge, at least 0; 0 without anchors.
    """
    hardest = distance.masked_fill(~allowed, float("inf")).min(dim=1).values
    return (positive + margin - hardest).clamp(min=0.0).sum() / max(len(positive), 1)


class RefineObjective(nn.Module):
    """Evaluates the parts; its one parameter is the softmax temperature.

    `mean_radius` is that of the codes at the last call, () float64.

    Args:
        config: as above. tree: over the n codes. curvature: c > 0. radius_step: the τ of
            r = τ · depth. world: who shares the steps, and where this process computes.
    """

    def __init__(
        self,
        config: RefineObjectiveConfig,
        tree: Tree,
        curvature: float,
        radius_step: float,
        world: World | None = None,
    ) -> None:
        super().__init__()
        self.config, self.curvature, self.radius_step = config, curvature, radius_step
        self.world = world or World()
        self.device = self.world.device
        self.log_temperature = nn.Parameter(
            torch.tensor(config.temperature, dtype=torch.float64, device=self.device).log()
        )
        self.mean_radius = torch.zeros((), dtype=torch.float64)
        self.depth = torch.from_numpy(tree.depth).to(self.device)
        self.tree_distance = torch.from_numpy(tree.distance).double().to(self.device)
        self.stress = stress_weight(self.tree_distance).sum(dim=1)
        self.levels = [torch.nonzero(self.depth == k).squeeze(1) for k in range(1, 6)]
        self.place = torch.zeros(len(tree.codes), dtype=torch.int64, device=self.device)
        for codes in self.levels:
            self.place[codes] = torch.arange(len(codes), device=self.device)
        parents = torch.from_numpy(tree.parent)
        child = torch.nonzero(parents >= 0).squeeze(1)
        ends = torch.stack([child, parents[child]]).to(self.device)
        self.pairs = torch.cat([ends, ends.flip(0)], dim=1)
        self.degree = torch.bincount(self.pairs[0], minlength=len(tree.codes))

    @property
    def temperature(self) -> Tensor:
        """() held within [0.02, 2]."""
        return self.log_temperature.exp().clamp(0.02, 2.0)

    def forward(
        self, codes: Tensor, queries: Tensor, label: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Unweighted parts by name, () each; parts of weight zero are left out.

        Of several processes each gets its share: the sum over all of them is the part.

        Args:
            codes: (n, d+1) refined codes, those of all processes.
            queries: (b', d+1) refined queries: `world.shard(b)` of the b of all processes.
            label: (b,) code of each query of all processes, of any level.
            generator: draws the anchors; in the same state in every process.
        """
        weights = self.config.weights
        self.mean_radius = lorentz.radius(codes.detach(), self.curvature).mean()
        parts: dict[str, Tensor] = {}
        if weights.query_code:
            parts["query_code"] = self._query_code(codes, queries, label)
        if weights.radius:
            rows = self.world.shard(len(codes))
            own = lorentz.radius(codes[rows], self.curvature)
            loss = radius_regularisation(own, self.depth[rows], self.radius_step)
            parts["radius"] = loss * (len(own) / len(codes))
        if weights.triplet or weights.hierarchy:
            parts |= self._structure(codes, generator)
        return {name: part for name, part in parts.items() if getattr(weights, name)}

    def total(self, parts: Mapping[str, Tensor]) -> Tensor:
        """() the weighted sum of the parts."""
        return torch.stack(list(weighted(parts, self.config.weights).values())).sum()

    def _query_code(self, codes: Tensor, queries: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy over the codes of each label's level, averaged over all queries."""
        own = label[self.world.shard(len(label))].to(self.device)
        total = codes.new_zeros(())
        for depth, candidates in enumerate(self.levels, start=1):
            rows = torch.nonzero(self.depth[own] == depth).squeeze(1)
            if not len(rows):
                continue
            distance = lorentz.pairwise_distance(queries[rows], codes[candidates], self.curvature)
            loss = smoothed_cross_entropy(
                distance, self.place[own[rows]], self.temperature, self.config.smoothing
            )
            total = total + loss.sum() / len(label)
        return total

    def _structure(self, codes: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Triplet and hierarchy parts of sampled anchors against all codes."""
        n = len(codes)
        drawn = torch.randperm(n, generator=generator)[: self.config.sampled_codes].to(self.device)
        anchors = drawn[self.world.shard(len(drawn))]
        distance = lorentz.pairwise_distance(codes[anchors], codes, self.curvature)
        tree_distance = self.tree_distance[anchors]
        row = torch.full((n,), -1, device=self.device)
        row[anchors] = torch.arange(len(anchors), device=self.device)
        anchor, positive = self.pairs[:, row[self.pairs[0]] >= 0]
        rows = row[anchor]
        triplet = hyperbolic_triplet(
            distance[rows, positive], distance[rows], tree_distance[rows] > 1, self.config.margin
        )
        share = len(rows) / self.degree[drawn].sum().clamp(min=1)
        return {
            "triplet": triplet * share,
            "hierarchy": self._hierarchy(distance, tree_distance, anchors, drawn),
        }

    def _hierarchy(
        self, distance: Tensor, tree_distance: Tensor, anchors: Tensor, drawn: Tensor
    ) -> Tensor:
        """Fit of the own anchors' distances (s, n) to the tree; `drawn` are those of all."""
        # The best scale for these distances; a constant, so that it is not traded for the fit.
        weight = stress_weight(tree_distance)
        with torch.no_grad():
            fit = torch.stack([(weight * distance * t).sum() for t in (tree_distance, distance)])
        both, square = self.world.sum(fit)
        if not len(anchors):
            return distance.new_zeros(())
        share = self.stress[anchors].sum() / self.stress[drawn].sum()
        return hierarchy_preservation(distance, tree_distance, both / square) * share


def fitted_radius_step(radius: Tensor, depth: Tensor) -> float:
    """The τ for which τ · depth fits radii (n,) best, by least squares."""
    return float((radius * depth).sum() / depth.double().square().sum())
