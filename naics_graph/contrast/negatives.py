"""Negatives as named strategies over one candidate pool, the codes of a level.

The pool is the whole taxonomy, so nothing has to be sampled: `all`, the default, is exact. The
others choose from it, and several together choose what any of them does. The positive is never a
negative. Choosing carries no gradient.

`all`       every code of the level.
`in_batch`  the codes that label the batch, themselves or through a descendant: the other anchors'
            positives.
`hard`      the `count` nearest the anchor by Lorentz distance.
`router`    the `count` codes the gate confuses most with the anchor: the largest overlap
            sum_e sqrt(p_e q_e) of the routing distributions (Bhattacharyya; 1 for equal ones, and
            one matrix product, where a Jensen-Shannon divergence, which it bounds on both sides,
            needs a (b, m, experts) tensor).
`tree`      `count` drawn without replacement with weights 2^-(tree distance from the positive), the
            positive's siblings masked (Efraimidis & Spirakis 2006: the smallest of
            exponential / weight). Siblings are the likeliest to be false negatives while the space
            is still rough. Sectors, whose common parent is virtual, are no siblings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch import Tensor

from naics_graph.config import require_at_least_one
from naics_graph.geometry.kmeans import kmeans
from naics_graph.taxonomy.tree import Tree

Strategy = Literal["all", "in_batch", "hard", "router", "tree"]

_ITERATIONS: Final = 20
"""Of k-means: the clusters need not be settled to the last point, they change with every epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativesConfig:
    """Which codes may be negatives.

    strategies: names, united; `all` stands by itself. count: how many `hard`, `router` and `tree`
    choose at each level. eliminate: leave out likely false negatives, those in the positive's
    cluster. clusters: k of the hyperbolic k-means over all codes, at most as many as there are
    codes.
    """

    strategies: tuple[Strategy, ...] = ("all",)
    count: int = 64
    eliminate: bool = False
    clusters: int = 256

    def __post_init__(self) -> None:
        """Refuse a choice of nothing, and names beside `all` that would choose nothing."""
        if not self.strategies:
            raise ValueError("strategies is empty, it must name at least one")
        if "all" in self.strategies and len(self.strategies) > 1:
            names = ", ".join(self.strategies)
            raise ValueError(f"strategies is {names}, it must name `all` by itself or leave it out")
        require_at_least_one(self, "count", "clusters")


@dataclass(frozen=True)
class Anchors:
    """What the strategies know of b anchors and all n codes.

    routing: (b, N) probabilities of the gate, code_routing: (n, N). named: (n,) bool, codes that
    label the batch, themselves or through a descendant. noise: (b, n) uniform draws in [0, 1), only
    where a strategy samples.
    """

    routing: Tensor
    code_routing: Tensor
    named: Tensor
    noise: Tensor | None


@dataclass(frozen=True)
class TreeTensors:
    """The tree as tensors: (n, n) distance in edges and (n,) parent, -1 for a sector."""

    distance: Tensor
    parent: Tensor


@dataclass(frozen=True)
class Pool:
    """Some anchors and the candidates of one level.

    anchors: of the step. rows: (r,) which of them. candidates: (m,) codes. positive: (r,) column of
    the positive. distance: (r, m) of candidates from anchors, detached.
    """

    anchors: Anchors
    rows: Tensor
    candidates: Tensor
    positive: Tensor
    distance: Tensor
    tree: TreeTensors

    @property
    def positive_code(self) -> Tensor:
        """(r,) the positives as codes."""
        return self.candidates[self.positive]

    @property
    def is_positive(self) -> Tensor:
        """(r, m) bool."""
        columns = torch.arange(len(self.candidates), device=self.positive.device)
        return columns == self.positive[:, None]


class Negatives:
    """Chooses the negatives of a step by the configuration in use."""

    def __init__(
        self, config: NegativesConfig, tree: Tree, device: torch.device | None = None
    ) -> None:
        self.config = config
        distance, parent, ancestors = (
            torch.from_numpy(array).to(device)
            for array in (tree.distance, tree.parent, tree.ancestors)
        )
        self.tree = TreeTensors(distance, parent)
        self.ancestors = ancestors
        self.clusters: Tensor | None = None

    @property
    def everything(self) -> bool:
        """Whether all codes are allowed, so that there is nothing to choose."""
        return self.config.strategies == ("all",) and not self.config.eliminate

    def recluster(self, points: Tensor, c: float, seed: int) -> None:
        """Cluster the codes' points (n, d+1); due once an epoch while `eliminate` is on."""
        k = min(self.config.clusters, len(points))
        self.clusters = kmeans(points, k, c, seed=seed, max_iterations=_ITERATIONS).labels

    def anchors(
        self,
        routing: Tensor,
        code_routing: Tensor,
        label: Tensor,
        generator: torch.Generator,
        own: slice = slice(None),
    ) -> Anchors | None:
        """The anchors of a step, None where everything is allowed.

        Args:
            routing: (b, N) probabilities of the anchors.
            code_routing: (n, N) of all codes.
            label: codes of the anchors of all processes.
            generator: draws where a strategy samples, and only there.
            own: which b of the labels are those of `routing`.
        """
        if self.everything:
            return None
        ancestors = self.ancestors[label]
        named = torch.zeros(len(code_routing), dtype=torch.bool, device=code_routing.device)
        named[ancestors[ancestors >= 0]] = True
        noise = None
        if "tree" in self.config.strategies:
            noise = torch.rand(len(label), len(code_routing), generator=generator)
            noise = noise[own].to(code_routing.device)
        return Anchors(routing.detach(), code_routing.detach(), named, noise)

    def allowed(
        self,
        anchors: Anchors | None,
        rows: Tensor,
        candidates: Tensor,
        positive: Tensor,
        distance: Tensor,
    ) -> Tensor | None:
        """(r, m) bool of the candidates that may be negatives; None where all may.

        Args:
            anchors: of the step.
            rows: (r,) those in question.
            candidates: (m,) codes of one level.
            positive: (r,) column of the positive.
            distance: (r, m) of candidates from anchors.
        """
        if anchors is None:
            return None
        pool = Pool(anchors, rows, candidates, positive, distance.detach(), self.tree)
        masks = [STRATEGIES[name](pool, self.config.count) for name in self.config.strategies]
        chosen = torch.stack(masks).any(dim=0) & ~pool.is_positive
        if self.config.eliminate:
            chosen &= ~false_negatives(pool, self._clusters())
        return chosen

    def _clusters(self) -> Tensor:
        if self.clusters is None:
            raise ValueError("negatives are eliminated by clusters: call recluster first")
        return self.clusters


def false_negatives(pool: Pool, clusters: Tensor) -> Tensor:
    """(r, m) bool: candidates in the positive's cluster that are ordered right already.

    Codes of one cluster (n,) mean much the same, and pushing them further from each other's texts
    than the order needs tears the tree apart. A text has one code all the same: a candidate of the
    cluster that is nearer the anchor than the positive is a mistake and stays a negative.
    """
    own = pool.distance.gather(1, pool.positive[:, None])
    together = clusters[pool.candidates] == clusters[pool.positive_code][:, None]
    return together & (pool.distance >= own)


def _all(pool: Pool, _count: int) -> Tensor:
    return torch.ones_like(pool.distance, dtype=torch.bool)


def _in_batch(pool: Pool, _count: int) -> Tensor:
    return pool.anchors.named[pool.candidates].expand_as(pool.distance)


def _hard(pool: Pool, count: int) -> Tensor:
    return _smallest(pool.distance, pool.is_positive, count)


def _router(pool: Pool, count: int) -> Tensor:
    anchor = pool.anchors.routing[pool.rows].sqrt()
    overlap = anchor @ pool.anchors.code_routing[pool.candidates].sqrt().T
    return _smallest(-overlap, pool.is_positive, count)


def _tree(pool: Pool, count: int) -> Tensor:
    noise = pool.anchors.noise
    assert noise is not None, "Negatives.anchors draws where `tree` is in use"
    positive = pool.positive_code
    siblings = pool.tree.parent[positive][:, None] == pool.tree.parent[pool.candidates]
    siblings &= (pool.tree.parent[positive] >= 0)[:, None]
    exponential = -noise[pool.rows][:, pool.candidates].log()
    key = exponential * torch.exp2(pool.tree.distance[positive][:, pool.candidates])
    return _smallest(key, siblings | pool.is_positive, count)


def _smallest(score: Tensor, excluded: Tensor, count: int) -> Tensor:
    """(r, m) bool: the `count` smallest of each row that are not excluded, or all of those."""
    score = score.masked_fill(excluded, float("inf"))
    index = score.topk(min(count, score.shape[1]), dim=1, largest=False).indices
    return torch.zeros_like(excluded).scatter(1, index, True) & ~excluded


STRATEGIES: Final[Mapping[Strategy, Callable[[Pool, int], Tensor]]] = MappingProxyType(
    {"all": _all, "in_batch": _in_batch, "hard": _hard, "router": _router, "tree": _tree}
)
