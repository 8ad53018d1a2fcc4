"""The objective of stage 3: named parts, each switchable by its weight.

Candidates are all codes of a level, so negatives are exact and need no sampling: the whole taxonomy
fits in a step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from naics_graph.contrast.data import Batch, ContrastData
from naics_graph.contrast.losses import (
    decoupled_contrastive,
    hierarchy_preservation,
    radius_regularisation,
    smoothed_cross_entropy,
)
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.mixture import load_balance_loss, router_z_loss
from naics_graph.geometry import lorentz


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each part; zero switches it off.

    query_code: a query is nearest its own code. ancestors: and at each level above nearest its
    ancestor there. code_code: a code is nearest its own ancestors. hierarchy: distances follow the
    tree. radius: radius follows depth. residual: residuals stay small. load_balance, router_z: of
    the mixture's router.
    """

    query_code: float = 1.0
    ancestors: float = 0.02
    code_code: float = 0.02
    hierarchy: float = 0.5
    radius: float = 0.1
    residual: float = 0.0
    load_balance: float = 0.01
    router_z: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """How the parts are measured.

    query_loss: `softmax` (cross-entropy with smoothing) or `dcl` for query -> code; code -> code is
    always DCL. radius_step: the τ of r = τ · depth. sampled_codes: anchors a step for the
    code -> code and hierarchy parts, against all codes.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    query_loss: Literal["softmax", "dcl"] = "softmax"
    smoothing: float = 0.05
    radius_step: float = 0.6
    sampled_codes: int = 384


class Objective:
    """Evaluates the parts for a batch against the images of all codes."""

    def __init__(self, config: ObjectiveConfig, data: ContrastData) -> None:
        self.config = config
        self.data = data
        tree = data.tree
        self.ancestors = torch.from_numpy(tree.ancestors)
        self.depth = torch.from_numpy(tree.depth)
        self.tree_distance = torch.from_numpy(tree.distance).double()
        self.level_codes = [torch.nonzero(self.depth == k).squeeze(1) for k in range(1, 6)]
        self.position_in_level = torch.zeros(len(tree.codes), dtype=torch.int64)
        for codes in self.level_codes:
            self.position_in_level[codes] = torch.arange(len(codes))

    def __call__(
        self,
        space: CodeSpace,
        channels: ChannelFeatures,
        batch: Batch,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Unweighted parts by name, () each; parts of weight zero are left out."""
        weights = self.config.weights
        codes = space.codes(*channels.without(batch.hidden))
        queries = space.queries(batch.inputs, batch.channel)
        distance = lorentz.tangent_pairwise_distance(
            queries.tangent, codes.tangent, space.curvature
        )
        own, above = self._multi_level(distance, batch.label, space.temperature)
        parts = {"query_code": own, "ancestors": above}
        if weights.code_code or weights.hierarchy:
            parts |= self._structure(space, codes.tangent, generator)
        radius = codes.tangent.norm(dim=1)
        parts["radius"] = radius_regularisation(radius, self.depth, self.config.radius_step)
        parts["residual"] = space.known_residual().square().sum(dim=1).mean().double()
        images = (codes.text, queries)
        routing = torch.cat([image.routing[image.present] for image in images])
        counts = codes.text.counts + queries.counts
        parts["load_balance"] = load_balance_loss(routing, counts).double()
        logits = torch.cat([image.router_logits[image.present] for image in images])
        parts["router_z"] = router_z_loss(logits).double()
        return {name: part for name, part in parts.items() if getattr(weights, name)}

    def total(self, parts: dict[str, Tensor]) -> Tensor:
        """() the weighted sum of the parts."""
        return torch.stack(
            [getattr(self.config.weights, name) * part for name, part in parts.items()]
        ).sum()

    def _multi_level(
        self, distance: Tensor, label: Tensor, temperature: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean loss at the labels' own level, and summed over the levels above it."""
        own = distance.new_zeros(())
        above = distance.new_zeros(())
        for depth, candidates in enumerate(self.level_codes, start=1):
            positive = self.ancestors[label, depth - 1]
            rows = torch.nonzero(positive >= 0).squeeze(1)
            if not len(rows):
                continue
            is_own = self.depth[label[rows]] == depth
            target = self.position_in_level[positive[rows]]
            at_level = distance[rows][:, candidates]
            for mask, is_target_own in ((is_own, True), (~is_own, False)):
                count = int(mask.sum())
                if not count or not (
                    self.config.weights.query_code
                    if is_target_own
                    else self.config.weights.ancestors
                ):
                    continue
                loss = self._match(at_level[mask], target[mask], temperature) * (count / len(label))
                if is_target_own:
                    own = own + loss
                else:
                    above = above + loss
        return own, above

    def _match(self, distance: Tensor, positive: Tensor, temperature: Tensor) -> Tensor:
        if self.config.query_loss == "dcl":
            return decoupled_contrastive(distance, positive, temperature)
        return smoothed_cross_entropy(distance, positive, temperature, self.config.smoothing)

    def _structure(
        self, space: CodeSpace, tangent: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Code -> code and hierarchy parts for sampled anchors against all codes."""
        n = len(tangent)
        anchors = torch.randperm(n, generator=generator)[: self.config.sampled_codes]
        distance = lorentz.tangent_pairwise_distance(tangent[anchors], tangent, space.curvature)
        terms = []
        for depth, candidates in enumerate(self.level_codes[:-1], start=1):
            rows = torch.nonzero(self.depth[anchors] > depth).squeeze(1)
            if len(rows):
                target = self.position_in_level[self.ancestors[anchors[rows], depth - 1]]
                terms.append(
                    decoupled_contrastive(distance[rows][:, candidates], target, space.temperature)
                )
        hierarchy = hierarchy_preservation(distance, self.tree_distance[anchors], space.scale)
        return {"code_code": torch.stack(terms).mean(), "hierarchy": hierarchy}
