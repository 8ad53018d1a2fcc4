"""Laws of hyperbolic k-means, and scikit-learn's where space is flat."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from naics_graph.errors import DataError
from naics_graph.geometry import lorentz
from naics_graph.geometry.kmeans import kmeans, plus_plus
from tests.geometry.reference import CURVATURES, tangents

curvatures = pytest.mark.parametrize("c", CURVATURES)


def cloud(n: int, dims: int, c: float, *, radius: float, seed: int = 0) -> Tensor:
    """Points up to a radius of `radius` / sqrt(c)."""
    generator = torch.Generator().manual_seed(seed)
    radii = (
        torch.rand(n, generator=generator, dtype=torch.float64) * radius / math.sqrt(c)
    ).tolist()
    return lorentz.expmap0(tangents(radii, dims, seed), c)


def boost(dims: int, rapidity: float) -> Tensor:
    """A Lorentz boost along the first axis of space, (d+1, d+1)."""
    matrix = torch.eye(dims + 1, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = math.cosh(rapidity)
    matrix[0, 1] = matrix[1, 0] = math.sinh(rapidity)
    return matrix


def rotation(dims: int, seed: int) -> Tensor:
    """A rotation of space, time untouched, (d+1, d+1)."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.eye(dims + 1, dtype=torch.float64)
    matrix[1:, 1:] = torch.linalg.qr(
        torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    )[0]
    return matrix


@curvatures
@pytest.mark.parametrize("radius", [0.5, 4.0, 12.0])
def test_inertia_never_rises(c: float, radius: float) -> None:
    points = cloud(80, 3, c, radius=radius)
    for start in (points[:6], points[:1].expand(6, -1)):
        steps = [kmeans(points, 6, c, start=start, max_iterations=i) for i in range(1, 12)]
        inertia = [step.inertia for step in steps]
        assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(inertia))
        # Far out the points are leaves of a tree, and the first centroids are as good as any.
        assert radius == 12.0 or inertia[-1] < inertia[0]
        assert [step.iterations for step in steps[:2]] == [1, 2]


@curvatures
def test_the_result_is_a_fixed_point_of_assignment_and_centroid(c: float) -> None:
    points = cloud(120, 4, c, radius=3.0)
    found = kmeans(points, 7, c, seed=2)
    assert found.converged
    far = torch.stack([lorentz.distance(points, m, c) for m in found.centroids], dim=1)
    assert torch.equal(far.argmin(dim=1), found.labels)
    for k in range(7):
        own = points[found.labels == k]
        mean = lorentz.centroid(own, torch.ones(len(own)), c)
        torch.testing.assert_close(found.centroids[k], mean, rtol=1e-12, atol=1e-12)
    cost = -2.0 / c - 2.0 * lorentz.inner(points, found.centroids[found.labels])
    assert found.inertia == pytest.approx(float(cost.sum()), rel=1e-9)


def test_the_seed_decides_everything() -> None:
    points = cloud(60, 3, 1.0, radius=3.0)
    first, again, other = (kmeans(points, 8, 1.0, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.labels, again.labels)
    assert torch.equal(first.centroids, again.centroids)
    assert not torch.equal(first.labels, other.labels)


@curvatures
@pytest.mark.parametrize(
    "isometry", [boost(3, 0.8), rotation(3, 5), boost(3, -1.5) @ rotation(3, 1)]
)
def test_an_isometry_carries_the_clusters_along(c: float, isometry: Tensor) -> None:
    points = cloud(90, 3, c, radius=2.0)
    here = kmeans(points, 5, c, seed=3)
    there = kmeans(points @ isometry.T, 5, c, seed=3)
    assert torch.equal(here.labels, there.labels)
    torch.testing.assert_close(there.centroids, here.centroids @ isometry.T, rtol=1e-9, atol=1e-9)


@curvatures
def test_planted_clusters_are_found(c: float) -> None:
    generator = torch.Generator().manual_seed(1)
    centres = tangents([4.0 / math.sqrt(c)] * 6, 5, 9)
    noise = 0.2 / math.sqrt(c) * torch.randn(6, 20, 5, generator=generator, dtype=torch.float64)
    points = lorentz.expmap0((centres[:, None] + noise).flatten(0, 1), c)
    planted = torch.arange(6).repeat_interleave(20)
    assert adjusted_rand_score(planted, kmeans(points, 6, c, seed=0).labels) == 1.0
    assert adjusted_rand_score(planted, kmeans(points, 3, c, seed=0).labels) < 0.8


@curvatures
def test_near_the_origin_it_is_ordinary_kmeans(c: float) -> None:
    generator = torch.Generator().manual_seed(4)
    flat = 1e-4 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
    points = lorentz.expmap0(flat, c)
    ours = kmeans(points, 6, c, start=points[:6])
    theirs = KMeans(6, init=flat[:6].numpy(), n_init=1, tol=0.0, algorithm="lloyd").fit(
        flat.numpy()
    )
    assert ours.labels.tolist() == theirs.labels_.tolist()
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-5)


def test_an_empty_cluster_takes_the_farthest_point() -> None:
    tangent = torch.tensor([[0.0], [0.1], [0.2], [2.0], [3.0]], dtype=torch.float64)
    points = lorentz.expmap0(tangent, 1.0)
    found = kmeans(points, 2, 1.0, start=points[:1].expand(2, -1), max_iterations=1)
    assert found.labels.tolist() == [0, 0, 0, 0, 1]
    assert kmeans(points, 2, 1.0, start=points[:1].expand(2, -1)).labels.tolist() == [0, 0, 0, 1, 1]


@curvatures
def test_one_cluster_and_as_many_as_points(c: float) -> None:
    points = cloud(12, 3, c, radius=3.0)
    whole = kmeans(points, 1, c)
    assert whole.labels.tolist() == [0] * 12
    mean = lorentz.centroid(points, torch.ones(12), c)
    torch.testing.assert_close(whole.centroids[0], mean, rtol=1e-12, atol=1e-12)
    alone = kmeans(points, 12, c)
    assert sorted(alone.labels.tolist()) == list(range(12))
    assert alone.inertia < 1e-20


@curvatures
def test_duplicates_share_a_cluster(c: float) -> None:
    distinct = cloud(4, 3, c, radius=3.0)
    points = distinct.repeat(5, 1)
    found = kmeans(points, 4, c)
    assert adjusted_rand_score(torch.arange(4).repeat(5), found.labels) == 1.0
    more = kmeans(points, 9, c)
    assert more.converged
    assert adjusted_rand_score(torch.arange(4).repeat(5), more.labels) == 1.0
    assert more.inertia < 1e-20
    assert torch.isfinite(more.centroids).all()


def test_first_centroids_are_drawn_in_proportion_to_their_cost() -> None:
    tangent = torch.tensor([[0.0], [0.0], [0.0], [1.0], [2.0]], dtype=torch.float64)
    points = lorentz.expmap0(tangent, 1.0)
    drawn = [
        plus_plus(points, 2, 1.0, torch.Generator().manual_seed(seed))[:, 0] for seed in range(400)
    ]
    first = points[0, 0]
    after_first = [pair[1] for pair in drawn if pair[0] == first]
    far = sum(bool(p == points[4, 0]) for p in after_first) / len(after_first)
    cost = [math.sinh(0.5) ** 2, math.sinh(1.0) ** 2]
    assert far == pytest.approx(cost[1] / sum(cost), abs=0.07)
    assert all(p != first for p in after_first)


def test_what_cannot_be_clustered_is_refused() -> None:
    points = cloud(5, 3, 1.0, radius=1.0)
    with pytest.raises(DataError, match="6 clusters of 5 points"):
        kmeans(points, 6, 1.0)
    with pytest.raises(DataError, match="0 clusters of 5 points"):
        kmeans(points, 0, 1.0)
    with pytest.raises(DataError, match="first centroids of shape"):
        kmeans(points, 2, 1.0, start=points[:3])
    points[2, 0] = math.nan
    with pytest.raises(DataError, match="1 of 5 points are not finite"):
        kmeans(points, 2, 1.0)
