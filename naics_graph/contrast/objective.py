"""The objective of stage 3: named parts, each switchable by its weight.

Candidates are the codes of a level. The whole taxonomy fits in a step, so by default all of them
are negatives and nothing is sampled; `negatives` chooses among them.

Several processes share a step: each maps its part of the codes and queries, the images of the codes
are gathered with gradient, and each part of the loss is a process's share, so that the sum over the
processes is what one process computes. A process with none of a step's anchors has a share of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from naics_graph.contrast.config import ObjectiveConfig
from naics_graph.contrast.data import Batch, ContrastData
from naics_graph.contrast.losses import (
    decoupled_contrastive,
    hierarchy_preservation,
    lambda_rank,
    radius_regularisation,
    rank_lists,
    smoothed_cross_entropy,
    stress_weight,
)
from naics_graph.contrast.negatives import Anchors, Negatives
from naics_graph.contrast.optimisation import weighted
from naics_graph.contrast.router_log import RouterLog
from naics_graph.contrast.space import CodeImages, CodeSpace
from naics_graph.distributed import World
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.mixture import load_balance_loss, router_z_loss
from naics_graph.encode.text_map import TextMapOutput, drop_channels
from naics_graph.geometry import lorentz


@dataclass(frozen=True)
class Pool:
    """All n codes as a step sees them: tangent (n, d) with gradient, routing (n, N) without."""

    tangent: Tensor
    routing: Tensor


@torch.no_grad()
def images_of_all(space: CodeSpace, channels: ChannelFeatures) -> Tensor:
    """(n, d) tangent vectors of all codes with all their texts, as they would be published."""
    was_training = space.training
    tangent = space.eval().codes(*channels.full()).tangent
    space.train(was_training)
    return tangent


class Objective:
    """Evaluates the parts for a batch against the images of all codes.

    `mean_radius` is that of the codes' images at the last call, () float64.
    """

    def __init__(
        self,
        config: ObjectiveConfig,
        data: ContrastData,
        router: RouterLog | None = None,
        world: World | None = None,
    ) -> None:
        """Args: router: told how every batch of queries was routed. world: who shares the steps."""
        self.config = config
        self.data = data
        self.router = router
        self.world = world or World()
        self.device = self.world.device
        tree = data.tree
        self.ancestors = torch.from_numpy(tree.ancestors).to(self.device)
        self.depth = torch.from_numpy(tree.depth).to(self.device)
        self.level_codes = [torch.nonzero(self.depth == k).squeeze(1) for k in range(1, 6)]
        self.by_level = torch.cat(self.level_codes)
        self.position_in_level = torch.zeros_like(self.depth, dtype=torch.int64)
        for codes in self.level_codes:
            self.position_in_level[codes] = torch.arange(len(codes), device=self.device)
        distance = torch.from_numpy(tree.distance).double().to(self.device)
        self.tree_distance = distance[:, self.by_level]
        self.negatives = Negatives(config.negatives, tree, self.device)
        self.mean_radius = torch.zeros((), dtype=torch.float64)

    def recluster(self, space: CodeSpace, channels: ChannelFeatures, seed: int) -> None:
        """Cluster the codes where they lie now, if the negatives in use are told by clusters."""
        if not self.negatives.config.eliminate:
            return
        tangent = images_of_all(space, channels)
        self.negatives.recluster(lorentz.expmap0(tangent, space.curvature), space.curvature, seed)

    def __call__(
        self,
        space: CodeSpace,
        channels: ChannelFeatures,
        batch: Batch,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Unweighted parts by name, () each; parts of weight zero are left out.

        Of several processes each gets its share: the sum over all of them is the part. Every
        process is given the whole batch and a generator in the same state.
        """
        weights = self.config.weights
        own = self.world.shard(len(batch.label))
        rows = torch.arange(len(batch.label))[own]
        codes = self._codes(space, channels, batch.hidden, generator)
        pool = self._pool(codes)
        in_tree = self._some_by_text_alone(space, codes, generator)
        tree_pool = pool if in_tree is codes else self._pool(in_tree)
        queries = space.queries(batch.inputs.rows(rows), batch.channel[rows])
        self._note_routing(queries.routing, batch)
        distance = self._distance(queries.tangent, pool.tangent, space.curvature)
        label = batch.label.to(self.device)
        anchors = self.negatives.anchors(queries.routing, pool.routing, label, generator, own)
        weight = batch.weight.to(self.device)[own]
        here, above = self._multi_level(distance, label, own, weight, space.temperature, anchors)
        parts = {"query_code": here, "ancestors": above}
        if weights.code_code or weights.hierarchy or weights.lambda_rank:
            parts |= self._structure(space, tree_pool, generator)
        parts |= self._of_codes(space, in_tree) | self._of_router(codes.text, queries)
        self.mean_radius = pool.tangent.detach().norm(dim=1).mean()
        kept = {name: part for name, part in parts.items() if getattr(weights, name)}
        return self._linked(kept, pool.tangent, tree_pool.tangent)

    def _codes(
        self,
        space: CodeSpace,
        channels: ChannelFeatures,
        hidden: list[int],
        generator: torch.Generator,
    ) -> CodeImages:
        """Images of this process's codes, without the hidden texts and the dropped channels."""
        vectors, mask = channels.without(hidden)
        rate = space.text_map.config.channel_dropout
        if space.training and rate:
            mask = drop_channels(mask, rate, generator)
        rows = self.world.shard(len(mask))
        return space.codes(vectors[rows], mask[rows], rows)

    def _some_by_text_alone(
        self, space: CodeSpace, codes: CodeImages, generator: torch.Generator
    ) -> CodeImages:
        """The codes of this process as the parts of the tree see them: some without residuals."""
        rate = self.config.residual_dropout
        if not space.training or not rate:
            return codes
        kept = (torch.rand(len(self.depth), generator=generator) >= rate).to(self.device)
        rows = self.world.shard(len(self.depth))
        residual = (space.known_residual() * kept[:, None])[rows]
        return CodeImages(space.placed(codes.text, residual), codes.text)

    def _pool(self, codes: CodeImages) -> Pool:
        """The codes of all processes. Their routing travels only where negatives are chosen."""
        routing = codes.text.routing.detach()
        if not self.negatives.everything:
            routing = self.world.gather_rows(routing)
        return Pool(self.world.gather_rows(codes.tangent), routing)

    def _note_routing(self, routing: Tensor, batch: Batch) -> None:
        if self.router is not None:
            everybody = self.world.gather_rows(routing.detach()).cpu()
            self.router.add(everybody, batch.label, batch.channel)

    def _of_codes(self, space: CodeSpace, codes: CodeImages) -> dict[str, Tensor]:
        """Parts that are means over the codes."""
        rows = self.world.shard(len(self.depth))
        share = len(codes.tangent) / len(self.depth)
        radius = radius_regularisation(
            codes.tangent.norm(dim=1), self.depth[rows], self.config.radius_step
        )
        residual = space.known_residual()[rows].square().sum(dim=1).mean().double()
        return {"radius": radius * share, "residual": residual * share}

    def _of_router(self, *images: TextMapOutput) -> dict[str, Tensor]:
        """Parts that are means over all present items, codes and queries."""
        routing = torch.cat([image.routing[image.present] for image in images])
        logits = torch.cat([image.router_logits[image.present] for image in images])
        counts = torch.stack([image.counts for image in images]).sum(dim=0)
        known = self.world.sum(torch.cat([counts, counts.new_tensor([len(routing)])]))
        share = len(routing) / known[-1]
        return {
            "load_balance": load_balance_loss(routing, known[:-1]).double() * share,
            "router_z": router_z_loss(logits).double() * share,
        }

    def _linked(self, parts: dict[str, Tensor], *gathered: Tensor) -> dict[str, Tensor]:
        """The parts, the first of which depends on all gathered images in any case.

        A process with no query and no anchor of its own must still take part in the backward pass
        of the gather.
        """
        if self.world.size > 1 and parts:
            first = next(iter(parts))
            parts[first] = parts[first] + 0.0 * torch.stack([t.sum() for t in gathered]).sum()
        return parts

    def total(self, parts: dict[str, Tensor]) -> Tensor:
        """() the weighted sum of the parts."""
        return torch.stack(list(weighted(parts, self.config.weights).values())).sum()

    def _multi_level(
        self,
        distance: Tensor,
        labels: Tensor,
        own: slice,
        weight: Tensor,
        temperature: Tensor,
        anchors: Anchors | None,
    ) -> tuple[Tensor, Tensor]:
        """Mean loss at the labels' own level, and summed over the levels above it."""
        label = labels[own]
        rows = torch.arange(len(label), device=self.device)
        here = above = distance.new_zeros(())
        for depth, (near, candidates) in enumerate(self._levels(distance), start=1):
            up = self.depth[label] - depth
            if not bool((up >= 0 if self.config.weights.ancestors else up == 0).any()):
                continue
            target = self._column(label, depth)
            allowed = self.negatives.allowed(anchors, rows, candidates, target, near)
            loss = weight * self._match(near, target, temperature, allowed)
            here = here + torch.where(up == 0, loss, 0.0).sum()
            decayed = loss * self.config.ancestor_decay ** (up - 1)
            above = above + torch.where(up > 0, decayed, 0.0).sum()
        return here / len(labels), above / len(labels)

    def _distance(self, anchors: Tensor, codes: Tensor, c: float) -> Tensor:
        """(b, n) of anchors (b, d) from all codes (n, d), whose columns go level by level.

        A level is then a slice: picking its columns from distances in the order of the codes, and
        the way back, takes a seventh of a step.
        """
        return lorentz.tangent_pairwise_distance(anchors, codes[self.by_level], c)

    def _levels(self, distance: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of distances (b, n) in that order, at each depth the columns (b, m) and codes (m,)."""
        columns = torch.split(distance, [len(codes) for codes in self.level_codes], dim=1)
        return list(zip(columns, self.level_codes, strict=True))

    def _column(self, codes: Tensor, depth: int) -> Tensor:
        """(b,) column of codes' ancestors at a depth; any where there is none."""
        return self.position_in_level[self.ancestors[codes, depth - 1].clamp(min=0)]

    def _match(
        self, distance: Tensor, positive: Tensor, temperature: Tensor, allowed: Tensor | None
    ) -> Tensor:
        """(b,) loss of queries against the candidates of a level."""
        if self.config.query_loss == "dcl":
            return decoupled_contrastive(distance, positive, temperature, allowed)
        smoothing = self.config.smoothing
        return smoothed_cross_entropy(distance, positive, temperature, smoothing, allowed)

    def _structure(
        self, space: CodeSpace, codes: Pool, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Parts of sampled anchors against all codes: code -> code, hierarchy and rank."""
        weights = self.config.weights
        tangent, routing = codes.tangent, codes.routing
        drawn = torch.randperm(len(tangent), generator=generator)[: self.config.sampled_codes]
        drawn = drawn.to(self.device)
        own = self.world.shard(len(drawn))
        sample = drawn[own]
        distance = self._distance(tangent[sample], tangent, space.curvature)
        tree_distance = self.tree_distance[sample]
        parts = {}
        if weights.code_code:
            anchors = None
            if not self.negatives.everything:
                anchors = self.negatives.anchors(routing[sample], routing, drawn, generator, own)
            parts["code_code"] = self._code_code(distance, drawn, own, space.temperature, anchors)
        if weights.hierarchy:
            parts["hierarchy"] = self._hierarchy(distance, drawn, own, space.scale)
        if weights.lambda_rank:
            part = distance.new_zeros(())
            if len(sample):
                listed = rank_lists(distance.detach(), tree_distance, self.config.rank_list)
                near, apart = distance.gather(1, listed), tree_distance.gather(1, listed)
                share = len(sample) / len(drawn)
                part = lambda_rank(near, apart, self.config.rank_width) * share
            parts["lambda_rank"] = part
        return parts

    def _code_code(
        self,
        distance: Tensor,
        drawn: Tensor,
        own: slice,
        temperature: Tensor,
        anchors: Anchors | None,
    ) -> Tensor:
        """Mean over the levels of the loss of codes against their ancestors there.

        drawn: anchors of all processes, of which `own` have the distances (s, n).
        """
        sample = drawn[own]
        rows = torch.arange(len(sample), device=self.device)
        terms = []
        for depth, (near, candidates) in enumerate(self._levels(distance)[:-1], start=1):
            below = int((self.depth[drawn] > depth).sum())
            if not below:
                continue
            target = self._column(sample, depth)
            allowed = self.negatives.allowed(anchors, rows, candidates, target, near)
            loss = decoupled_contrastive(near, target, temperature, allowed)
            terms.append(torch.where(self.depth[sample] > depth, loss, 0.0).sum() / below)
        return torch.stack(terms).mean()

    def _hierarchy(self, distance: Tensor, drawn: Tensor, own: slice, scale: Tensor) -> Tensor:
        """Fit of anchors' distances (s, n) to the tree; `drawn` and `own` as for `_code_code`."""
        tree_distance = self.tree_distance[drawn]
        if not len(distance):
            return distance.new_zeros(())
        share = stress_weight(tree_distance[own]).sum() / stress_weight(tree_distance).sum()
        return hierarchy_preservation(distance, tree_distance[own], scale) * share
