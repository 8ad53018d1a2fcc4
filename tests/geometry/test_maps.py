"""Laws of points, tangent vectors, transport, centroid and the Poincaré picture."""

from __future__ import annotations

import math
from functools import partial

import mpmath
import pytest
import torch

from naics_graph.geometry import lorentz
from tests.geometry.reference import (
    CURVATURES,
    DIGITS,
    RADII,
    exact_inner,
    exact_point,
    geoopt_lorentz,
    tangents,
)

curvatures = pytest.mark.parametrize("c", CURVATURES)
near = partial(torch.testing.assert_close, rtol=1e-7, atol=1e-7)
MODERATE = [0.0, 1e-6, 0.1, 1.0, 2.0, 3.0]


@curvatures
@pytest.mark.parametrize("dims", [1, 2, 64])
def test_points_are_on_the_sheet(c: float, dims: int) -> None:
    v = tangents(RADII, dims, 0)
    x = lorentz.expmap0(v, c)
    assert x.shape == (len(RADII), dims + 1)
    assert (x[:, 0] >= 1 / math.sqrt(c)).all()
    assert lorentz.sheet_error(x, c).max() <= 1e-14
    off = x.clone()
    off[:, 0] *= 1 + 1e-6
    assert lorentz.sheet_error(off, c).min() >= 1e-6


@curvatures
def test_points_match_80_digits(c: float) -> None:
    v = tangents(RADII, 3, 0)
    exact = [[float(x) for x in exact_point(row, c)] for row in v.tolist()]
    torch.testing.assert_close(
        lorentz.expmap0(v, c), torch.tensor(exact, dtype=torch.float64), rtol=1e-13, atol=1e-25
    )


@curvatures
@pytest.mark.parametrize("dims", [2, 16, 64])
@pytest.mark.parametrize("seed", [0, 1])
def test_origin_maps_are_inverse(c: float, dims: int, seed: int) -> None:
    v = tangents(RADII, dims, seed)
    back = lorentz.logmap0(lorentz.expmap0(v, c), c)
    torch.testing.assert_close(back, v, rtol=1e-12, atol=1e-25)


@curvatures
def test_maps_match_geoopt(c: float) -> None:
    manifold = geoopt_lorentz(c)
    radii = [0.5, 1.0, 1.5, 2.0] if c < 10 else [0.2, 0.4, 0.6, 0.8]
    v, w = tangents(radii, 6, 0), tangents(radii[::-1], 6, 1)
    x, y = lorentz.expmap0(v, c), lorentz.expmap0(w, c)
    with_time = torch.nn.functional.pad(v, (1, 0))
    near(x, manifold.expmap0(with_time))
    near(lorentz.logmap0(x, c), manifold.logmap0(x)[:, 1:])
    near(lorentz.radius(x, c), manifold.dist0(x))
    near(lorentz.inner(x, y), manifold.inner(None, x, y))
    step = lorentz.logmap(x, y, c)
    near(step, manifold.logmap(x, y))
    near(lorentz.expmap(x, step / 2, c), manifold.expmap(x, step / 2))
    u = manifold.proju(x, torch.nn.functional.pad(w, (1, 0)))
    near(lorentz.parallel_transport(x, y, u, c), manifold.transp(x, y, u))


def test_geoopt_k_is_the_inverse() -> None:
    for c in (0.5, 2.0):
        point = lorentz.expmap0(tangents([1.0], 2, 0), c)
        assert lorentz.inner(point, point).item() == pytest.approx(-lorentz.geoopt_k(c))


@curvatures
def test_logmap_and_expmap_are_inverse(c: float) -> None:
    # Vectors at a point are written in the ambient space, which costs digits as e^(2 sqrt(c) r).
    radii = [radius / math.sqrt(c) for radius in MODERATE]
    x = lorentz.expmap0(tangents(radii, 5, 0), c)[:, None]
    y = lorentz.expmap0(tangents(radii, 5, 1), c)[None]
    step = lorentz.logmap(x, y, c)
    normal = lorentz.inner(x.expand_as(step), step)
    torch.testing.assert_close(normal, torch.zeros_like(normal), rtol=0, atol=1e-10)
    length = lorentz.inner(step, step).clamp_min(0).sqrt()
    torch.testing.assert_close(length, lorentz.distance(x, y, c), rtol=1e-8, atol=1e-8)
    reached = lorentz.expmap(x.expand_as(step), step, c)
    assert lorentz.distance(reached, y.expand_as(reached), c).max() < 1e-7 / math.sqrt(c)


@curvatures
def test_maps_at_points_are_finite_everywhere(c: float) -> None:
    v = torch.cat([tangents(RADII, 3, 0), tangents(RADII, 3, 1)]).requires_grad_()
    points = lorentz.expmap0(v, c)
    n = len(points)
    x, y = points[:, None].expand(n, n, 4), points[None].expand(n, n, 4)
    step = lorentz.logmap(x, y, c)
    moved = lorentz.parallel_transport(x, y, step, c)
    reached = lorentz.expmap(x, step, c)
    for result in (step, moved, reached):
        assert result.isfinite().all()
        (gradient,) = torch.autograd.grad(result.sum(), v, retain_graph=True)
        assert gradient.isfinite().all()


@curvatures
def test_logmap_of_a_point_at_itself_is_zero(c: float) -> None:
    x = lorentz.expmap0(tangents(RADII, 3, 0), c)
    assert lorentz.logmap(x, x, c).abs().max() < 1e-20
    torch.testing.assert_close(lorentz.expmap(x, torch.zeros_like(x), c), x, rtol=1e-12, atol=1e-25)


@curvatures
def test_transport_keeps_products_and_turns_the_geodesic_round(c: float) -> None:
    x = lorentz.expmap0(tangents([0.5, 1.0, 2.0], 5, 0), c)
    y = lorentz.expmap0(tangents([1.5, 0.7, 2.0], 5, 1), c)
    z = lorentz.expmap0(tangents([1.0, 1.0, 1.0], 5, 2), c)
    u, v = lorentz.logmap(x, z, c), lorentz.logmap(x, y, c)
    moved_u, moved_v = (lorentz.parallel_transport(x, y, t, c) for t in (u, v))
    torch.testing.assert_close(
        lorentz.inner(moved_u, y), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-7
    )
    torch.testing.assert_close(
        lorentz.inner(moved_u, moved_v), lorentz.inner(u, v), rtol=1e-7, atol=1e-7
    )
    torch.testing.assert_close(moved_v, -lorentz.logmap(y, x, c), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("limit", [1.0, 6.0])
def test_bound_radius(limit: float) -> None:
    v = tangents([0.0, 1e-6, 1.0, 5.0, 12.0, 500.0], 4, 0)
    bounded = lorentz.bound_radius(v, limit)
    lengths = bounded.norm(dim=1)
    torch.testing.assert_close(lengths, limit * torch.tanh(v.norm(dim=1) / limit))
    assert (lengths <= limit * (1 + 1e-15)).all()
    torch.testing.assert_close(bounded[:2], v[:2], rtol=1e-9, atol=0)
    cosine = torch.nn.functional.cosine_similarity(v[1:], bounded[1:])
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    beyond = tangents([2 * limit], 4, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(lorentz.bound_radius(beyond, limit).norm(), beyond)
    assert gradient.norm() > 0.05


@curvatures
@pytest.mark.parametrize("radius", [0.0, 0.5, 3.0, 12.0])
def test_centroid_matches_80_digits(c: float, radius: float) -> None:
    centre = tangents([radius], 3, 0)
    points = lorentz.expmap0(centre + 0.1 * tangents([1.0] * 4, 3, 1), c)
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0], dtype=torch.float64)
    found = lorentz.centroid(points, weights, c)
    assert lorentz.sheet_error(found, c) <= 1e-14
    with mpmath.workdps(DIGITS):
        # The stored points are off the sheet by rounding; their space parts define them.
        rows = [[mpmath.mpf(x) for x in row[1:]] for row in points.tolist()]
        exact_rows = [
            [mpmath.sqrt(mpmath.fsum(x * x for x in r) + 1 / mpmath.mpf(c)), *r] for r in rows
        ]
        total = [
            mpmath.fsum(w * r[i] for w, r in zip(weights.tolist(), exact_rows, strict=True))
            for i in range(4)
        ]
        norm = mpmath.sqrt(-mpmath.mpf(c) * exact_inner(total, total))
        exact = torch.tensor([float(x / norm) for x in total], dtype=torch.float64)
    torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-12)


@curvatures
def test_centroid_laws(c: float) -> None:
    x = lorentz.expmap0(tangents([1.0, 2.0, 0.5], 4, 0), c)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    whole = lorentz.centroid(x, weights, c)
    torch.testing.assert_close(lorentz.centroid(x, 7 * weights, c), whole)
    torch.testing.assert_close(lorentz.centroid(x.flip(0), weights.flip(0), c), whole)
    torch.testing.assert_close(lorentz.centroid(x[:1], weights[:1], c), x[0])
    ends = x[:2]
    middle = lorentz.centroid(ends, torch.ones(2, dtype=torch.float64), c)
    halves = lorentz.distance(middle.expand_as(ends), ends, c)
    torch.testing.assert_close(halves.sum(), lorentz.distance(ends[0], ends[1], c))
    torch.testing.assert_close(halves[0], halves[1])
    batch = lorentz.centroid(x.expand(5, 3, 5), weights.expand(5, 3), c)
    torch.testing.assert_close(batch, whole.expand(5, 5))


@curvatures
def test_centroids_of_segments_are_those_of_their_groups(c: float) -> None:
    v = torch.cat([tangents([0.0, 1.0, 12.0, 12.0], 4, 0), tangents([3.0, 6.0, 9.0], 4, 1)])
    v.requires_grad_()
    weights = torch.linspace(0.1, 2.0, 7, dtype=torch.float64)
    segment = torch.tensor([2, 0, 1, 1, 0, 1, 0])
    points = lorentz.expmap0(v, c)
    found = lorentz.segment_centroid(points, weights, segment, 3, c)
    groups = [(segment == i).nonzero()[:, 0] for i in range(3)]
    expected = torch.stack([lorentz.centroid(points[g], weights[g], c) for g in groups])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-25)
    (gradient,) = torch.autograd.grad(found.sum(), v, retain_graph=True)
    (reference,) = torch.autograd.grad(expected.sum(), v)
    torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-12)


@curvatures
def test_centroid_of_opposite_points_is_the_origin(c: float) -> None:
    v = tangents([2.0], 3, 0)
    x = lorentz.expmap0(torch.cat([v, -v]), c)
    found = lorentz.centroid(x, torch.ones(2, dtype=torch.float64), c)
    origin = lorentz.expmap0(torch.zeros(3, dtype=torch.float64), c)
    torch.testing.assert_close(found, origin, rtol=1e-12, atol=1e-12)
    both = torch.cat([v, -v]).requires_grad_()
    weights = torch.ones(2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda t: lorentz.centroid(lorentz.expmap0(t, c), weights, c), (both,), eps=1e-6, atol=1e-6
    )


@curvatures
def test_poincare_picture(c: float) -> None:
    v = tangents(RADII, 3, 0)
    x = lorentz.expmap0(v, c)
    y = lorentz.to_poincare(x, c)
    wanted = torch.tanh(math.sqrt(c) * torch.tensor(RADII, dtype=torch.float64) / 2)
    torch.testing.assert_close(y.norm(dim=1), wanted, rtol=1e-12, atol=1e-25)
    assert (y.norm(dim=1) <= 1).all()
    torch.testing.assert_close(lorentz.to_poincare(x[3], c), y[3])
