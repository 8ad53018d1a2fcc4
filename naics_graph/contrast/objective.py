"""The objective of stage 3: named parts, each switchable by its weight.

Candidates are the codes of a level. The whole taxonomy fits in a step, so by default all of them
are negatives and nothing is sampled; `negatives` chooses among them.
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
    lambda_rank,
    radius_regularisation,
    smoothed_cross_entropy,
)
from naics_graph.contrast.negatives import Anchors, Negatives, NegativesConfig
from naics_graph.contrast.router_log import RouterLog
from naics_graph.contrast.space import CodeImages, CodeSpace
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.mixture import load_balance_loss, router_z_loss
from naics_graph.geometry import lorentz


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each part; zero switches it off.

    query_code: a query is nearest its own code. ancestors: and at each level above nearest its
    ancestor there. code_code: a code is nearest its own ancestors. hierarchy: distances follow the
    tree. lambda_rank: the nearest of a code are its nearest in the tree, in that order. radius:
    radius follows depth. residual: residuals stay small. load_balance, router_z: of the mixture's
    router.
    """

    query_code: float = 1.0
    ancestors: float = 0.02
    code_code: float = 0.02
    hierarchy: float = 0.5
    lambda_rank: float = 0.0
    radius: float = 0.1
    residual: float = 0.0
    load_balance: float = 0.01
    router_z: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """How the parts are measured.

    query_loss: `softmax` (cross-entropy with smoothing) or `dcl` for query -> code; code -> code is
    always DCL. radius_step: the τ of r = τ · depth. sampled_codes: anchors a step for the
    code -> code, hierarchy and rank parts, against all codes. rank_list: candidates an anchor
    ranks, its relatives at tree distance 1 and 2 and the nearest others. rank_width: the gap in
    distance that counts as clearly ordered. negatives: which codes may be negatives of queries and
    of codes.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    query_loss: Literal["softmax", "dcl"] = "softmax"
    smoothing: float = 0.05
    radius_step: float = 0.6
    sampled_codes: int = 384
    rank_list: int = 48
    rank_width: float = 0.2
    negatives: NegativesConfig = field(default_factory=NegativesConfig)

    def __post_init__(self) -> None:
        """Refuse lists with nothing to order."""
        if self.rank_list < 2:
            raise ValueError(f"rank_list is {self.rank_list}, it must be at least 2")
        if not self.rank_width > 0:
            raise ValueError(f"rank_width is {self.rank_width}, it must be above 0")


class Objective:
    """Evaluates the parts for a batch against the images of all codes."""

    def __init__(
        self, config: ObjectiveConfig, data: ContrastData, router: RouterLog | None = None
    ) -> None:
        """Args: router: told how every batch of queries was routed."""
        self.config = config
        self.data = data
        self.router = router
        tree = data.tree
        self.ancestors = torch.from_numpy(tree.ancestors)
        self.depth = torch.from_numpy(tree.depth)
        self.tree_distance = torch.from_numpy(tree.distance).double()
        self.level_codes = [torch.nonzero(self.depth == k).squeeze(1) for k in range(1, 6)]
        self.position_in_level = torch.zeros(len(tree.codes), dtype=torch.int64)
        for codes in self.level_codes:
            self.position_in_level[codes] = torch.arange(len(codes))
        self.negatives = Negatives(config.negatives, tree)

    def recluster(self, space: CodeSpace, channels: ChannelFeatures, seed: int) -> None:
        """Cluster the codes where they lie now, if the negatives in use are told by clusters."""
        if not self.negatives.config.eliminate:
            return
        was_training = space.training
        space.eval()
        with torch.no_grad():
            tangent = space.codes(*channels.full()).tangent
        space.train(was_training)
        self.negatives.recluster(lorentz.expmap0(tangent, space.curvature), space.curvature, seed)

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
        if self.router is not None:
            self.router.add(queries.routing, batch.label, batch.channel)
        distance = lorentz.tangent_pairwise_distance(
            queries.tangent, codes.tangent, space.curvature
        )
        anchors = self.negatives.anchors(
            queries.routing, codes.text.routing, batch.label, generator
        )
        own, above = self._multi_level(distance, batch.label, space.temperature, anchors)
        parts = {"query_code": own, "ancestors": above}
        if weights.code_code or weights.hierarchy or weights.lambda_rank:
            parts |= self._structure(space, codes, generator)
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
        self, distance: Tensor, label: Tensor, temperature: Tensor, anchors: Anchors | None
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
                near, own_target = at_level[mask], target[mask]
                allowed = self.negatives.allowed(anchors, rows[mask], candidates, own_target, near)
                loss = self._match(near, own_target, temperature, allowed) * (count / len(label))
                if is_target_own:
                    own = own + loss
                else:
                    above = above + loss
        return own, above

    def _match(
        self, distance: Tensor, positive: Tensor, temperature: Tensor, allowed: Tensor | None
    ) -> Tensor:
        if self.config.query_loss == "dcl":
            return decoupled_contrastive(distance, positive, temperature, allowed)
        smoothing = self.config.smoothing
        return smoothed_cross_entropy(distance, positive, temperature, smoothing, allowed)

    def _structure(
        self, space: CodeSpace, codes: CodeImages, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Parts of sampled anchors against all codes: code -> code, hierarchy and rank."""
        weights = self.config.weights
        tangent = codes.tangent
        sample = torch.randperm(len(tangent), generator=generator)[: self.config.sampled_codes]
        distance = lorentz.tangent_pairwise_distance(tangent[sample], tangent, space.curvature)
        tree_distance = self.tree_distance[sample]
        parts = {}
        if weights.code_code:
            routing = codes.text.routing
            anchors = self.negatives.anchors(routing[sample], routing, sample, generator)
            parts["code_code"] = self._code_code(distance, sample, space.temperature, anchors)
        if weights.hierarchy:
            parts["hierarchy"] = hierarchy_preservation(distance, tree_distance, space.scale)
        if weights.lambda_rank:
            listed = rank_lists(distance.detach(), tree_distance, self.config.rank_list)
            parts["lambda_rank"] = lambda_rank(
                distance.gather(1, listed), tree_distance.gather(1, listed), self.config.rank_width
            )
        return parts

    def _code_code(
        self, distance: Tensor, sample: Tensor, temperature: Tensor, anchors: Anchors | None
    ) -> Tensor:
        """Mean over the levels of the loss of codes (s,) against their ancestors there."""
        terms = []
        for depth, candidates in enumerate(self.level_codes[:-1], start=1):
            rows = torch.nonzero(self.depth[sample] > depth).squeeze(1)
            if len(rows):
                target = self.position_in_level[self.ancestors[sample[rows], depth - 1]]
                near = distance[rows][:, candidates]
                allowed = self.negatives.allowed(anchors, rows, candidates, target, near)
                terms.append(decoupled_contrastive(near, target, temperature, allowed))
        return torch.stack(terms).mean()


def rank_lists(distance: Tensor, tree_distance: Tensor, length: int) -> Tensor:
    """Candidates each anchor ranks: (s, l) columns, the anchor itself (tree distance 0) not there.

    Its relatives at tree distance 1, then those at 2, then the nearest others, each by the present
    distance; l is `length`, or all others where there are fewer.

    Args:
        distance: (s, n) of all codes from the anchors.
        tree_distance: (s, n) of the same pairs.
        length: at least 1.
    """
    apart = distance.max() + 1.0
    key = distance - apart * (3.0 - tree_distance).clamp(min=0.0)
    key = key.masked_fill(tree_distance == 0, float("inf"))
    return key.topk(min(length, key.shape[1] - 1), dim=1, largest=False).indices
