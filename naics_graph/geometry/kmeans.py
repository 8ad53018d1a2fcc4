"""Hyperbolic k-means: Lloyd's iteration with Lorentz centroids, started by k-means++.

The cost of a point is its squared Lorentzian distance from its centroid. It orders pairs as the
geodesic distance does, so points are assigned by that, and the Lorentz centroid is where its sum is
least (Law et al. 2019, "Lorentzian Distance Learning for Hyperbolic Representations"); with squared
geodesic distances in its place an update could raise the sum. Near the origin it is ordinary
k-means.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from naics_graph.errors import DataError
from naics_graph.geometry import lorentz

_COINCIDENT = 1e-12
"""Distances up to this are none: a point there gains nothing by a centroid of its own."""


@dataclass(frozen=True)
class Clustering:
    """What k-means found.

    labels: (n,) int64 cluster of each point. centroids: (k, d+1) points. inertia: sum of squared
    Lorentzian distances from the own centroid, >= 0. iterations: assignments made, at least 1.
    converged: the last of them changed nothing. A cluster is empty only where fewer than k points
    differ.
    """

    labels: Tensor
    centroids: Tensor
    inertia: float
    iterations: int
    converged: bool


def kmeans(
    points: Tensor,
    clusters: int,
    c: float,
    *,
    seed: int = 0,
    start: Tensor | None = None,
    max_iterations: int = 100,
) -> Clustering:
    """Cluster points of the sheet of curvature -c.

    Args:
        points: (n, d+1), time first.
        clusters: k within 1 and n.
        c: > 0.
        seed: of the k-means++ draws; the result depends on nothing else random.
        start: (k, d+1) first centroids in place of k-means++.
        max_iterations: at least 1.

    Raises:
        DataError: k is not within 1 and n, a point is not finite, or `start` has another shape.
    """
    points = points.detach().double()
    _require(points, clusters, start)
    if start is None:
        start = plus_plus(points, clusters, c, torch.Generator().manual_seed(seed))
    centroids = start.detach().double()
    labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    iterations, converged = 0, False
    while not converged and iterations < max_iterations:
        assigned = _fill_empty(*_assign(points, centroids, c), clusters)
        converged = torch.equal(assigned, labels)
        if not converged:
            labels = assigned
            centroids = _update(points, labels, centroids, c)
        iterations += 1
    own = lorentz.lorentzian_squared(lorentz.distance(points, centroids[labels], c), c)
    return Clustering(labels, centroids, float(own.sum()), iterations, converged)


def plus_plus(points: Tensor, clusters: int, c: float, generator: torch.Generator) -> Tensor:
    """First centroids (k, d+1) by k-means++ (Arthur & Vassilvitskii 2007).

    The first is drawn evenly from `points` (n, d+1), each further one with a chance in proportion
    to its cost. That of a point coinciding with a chosen one is about 1e-60: above 0, so that one
    of them can be drawn when all coincide, and not otherwise.
    """
    cost = points.new_ones(len(points))
    chosen: list[int] = []
    for _ in range(clusters):
        # Scaled, for far out at c = 10 the sum of the costs is too large to be divided by.
        share = (cost / cost.max()).cumsum(0)
        drawn = torch.rand((), dtype=torch.float64, generator=generator) * share[-1].cpu()
        place = torch.searchsorted(share, drawn.to(share.device), right=True)
        chosen.append(min(int(place), len(points) - 1))
        further = lorentz.pairwise_distance(points, points[chosen[-1:]], c).squeeze(1)
        squared = lorentz.lorentzian_squared(further, c)
        cost = squared if len(chosen) == 1 else torch.minimum(cost, squared)
    return points[chosen]


def _require(points: Tensor, clusters: int, start: Tensor | None) -> None:
    if not 1 <= clusters <= len(points):
        raise DataError(
            f"{clusters} clusters of {len(points)} points",
            where="hyperbolic k-means",
            do=f"ask for 1 to {len(points)} clusters",
        )
    if not bool(torch.isfinite(points).all()):
        raise DataError(
            f"{int((~torch.isfinite(points)).any(1).sum())} of {len(points)} points are not finite",
            where="hyperbolic k-means",
            do="lower the learning rate of the stage they come from",
        )
    if start is not None and start.shape != (clusters, points.shape[1]):
        raise DataError(
            f"first centroids of shape {tuple(start.shape)} for {clusters} clusters of points of "
            f"shape {tuple(points.shape)}",
            where="hyperbolic k-means",
            do=f"give first centroids of shape {(clusters, points.shape[1])}",
        )


def _assign(points: Tensor, centroids: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """Nearest centroid of each point, the first of equals, and the distance from it: (n,), (n,)."""
    distance, labels = lorentz.pairwise_distance(points, centroids, c).min(dim=1)
    return labels, distance


def _fill_empty(labels: Tensor, distance: Tensor, clusters: int) -> Tensor:
    """Give each empty cluster the point farthest from its centroid, if it is not alone there."""
    sizes = torch.bincount(labels, minlength=clusters)
    empty = torch.nonzero(sizes == 0).squeeze(1).tolist()
    if not empty:
        return labels
    labels = labels.clone()
    farthest = torch.argsort(distance, descending=True, stable=True).tolist()
    for point in farthest:
        if not empty or float(distance[point]) <= _COINCIDENT:
            break
        if int(sizes[labels[point]]) > 1:
            sizes[labels[point]] -= 1
            labels[point] = empty.pop(0)
    return labels


def _update(points: Tensor, labels: Tensor, centroids: Tensor, c: float) -> Tensor:
    """Centroids (k, d+1) of the clusters; an empty cluster keeps the one it had."""
    filled, segment = torch.unique(labels, return_inverse=True)
    ones = points.new_ones(len(points))
    moved = centroids.clone()
    moved[filled] = lorentz.segment_centroid(points, ones, segment, len(filled), c)
    return moved
