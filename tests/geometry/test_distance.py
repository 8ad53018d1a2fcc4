"""Laws of the distances: exact at every radius, a metric, the same in all three forms."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import Tensor

from naics_graph.geometry import lorentz
from tests.geometry.reference import (
    CURVATURES,
    EPSILON,
    RADII,
    exact_distance,
    geoopt_lorentz,
    tangents,
)

curvatures = pytest.mark.parametrize("c", CURVATURES)


def close_pairs(radius: float) -> tuple[Tensor, Tensor]:
    """Pairs of tangents of nearly one length whose angles span both ways of taking the chord."""
    angles = torch.tensor([0.0, 1e-12, 1e-8, 1e-5, 9.9e-3, 1.01e-2, 0.3, 3.0], dtype=torch.float64)
    first = torch.zeros(len(angles), 3, dtype=torch.float64)
    first[:, 0] = radius
    second = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=1)
    return first, second * radius * (1 + 1e-10)


@curvatures
@pytest.mark.parametrize("radius", RADII)
def test_distances_of_close_points_keep_their_digits(c: float, radius: float) -> None:
    first, second = close_pairs(radius)
    found = lorentz.tangent_pairwise_distance(first[:1], second, c)[0].tolist()
    for v, w, value in zip(first.tolist(), second.tolist(), found, strict=True):
        exact = float(exact_distance(v, w, c))
        # What one unit in the last place of the inputs moves the point by, and with it d.
        moved = math.sinh(math.sqrt(c) * radius) / math.cosh(math.sqrt(c) * exact / 2)
        ulp = 8 * EPSILON * (radius + moved / math.sqrt(c))
        assert abs(value - exact) <= 1e-12 * exact + ulp + 1e-25


@curvatures
@pytest.mark.parametrize("seed", [0, 1])
def test_distances_at_all_radii_match_80_digits(c: float, seed: int) -> None:
    v, w = tangents(RADII, 5, seed), tangents(RADII, 5, seed + 10)
    found = lorentz.tangent_pairwise_distance(v, w, c)
    exact = [[float(exact_distance(a, b, c)) for b in w.tolist()] for a in v.tolist()]
    torch.testing.assert_close(
        found, torch.tensor(exact, dtype=torch.float64), rtol=1e-12, atol=1e-15
    )


@curvatures
def test_distance_matches_geoopt_where_it_is_accurate(c: float) -> None:
    radii = [0.2, 0.7, 1.5, 2.5]
    x = lorentz.expmap0(tangents(radii, 8, 0), c)
    y = lorentz.expmap0(tangents(radii, 8, 1), c)
    torch.testing.assert_close(
        lorentz.distance(x, y, c), geoopt_lorentz(c).dist(x, y), rtol=1e-9, atol=1e-9
    )


@curvatures
@pytest.mark.parametrize("dims", [2, 16, 64])
def test_all_forms_agree(c: float, dims: int) -> None:
    v, w = tangents(RADII, dims, 2), tangents(RADII, dims, 3)
    w[4] = v[4]
    x, y = lorentz.expmap0(v, c), lorentz.expmap0(w, c)
    loop = torch.stack([torch.stack([lorentz.distance(a, b, c) for b in y]) for a in x])
    batch = lorentz.distance(x[:, None], y[None, :], c)
    torch.testing.assert_close(batch, loop, rtol=1e-14, atol=1e-25)
    torch.testing.assert_close(lorentz.pairwise_distance(x, y, c), loop, rtol=1e-11, atol=1e-15)
    direct = lorentz.tangent_pairwise_distance(v, w, c)
    # Through points, one unit in the last place of x_s at r = 12 moves the point.
    torch.testing.assert_close(direct, loop, rtol=1e-10, atol=1e-9)


@curvatures
def test_distance_is_a_metric(c: float) -> None:
    v = torch.cat([tangents(RADII, 4, seed) for seed in range(3)])
    d = lorentz.tangent_pairwise_distance(v, v, c)
    torch.testing.assert_close(d, d.T, rtol=1e-13, atol=0)
    assert (d > 0).all()
    assert d.diagonal().max() < 1e-25
    detour = d[:, :, None] + d[None, :, :]
    assert (d[:, None, :] <= detour * (1 + 1e-12)).all()


@curvatures
def test_distance_from_the_origin_is_the_radius(c: float) -> None:
    v = tangents(RADII, 4, 0)
    origin = torch.zeros(1, 4, dtype=torch.float64)
    expected = torch.tensor(RADII, dtype=torch.float64)
    found = lorentz.tangent_pairwise_distance(v, origin, c)[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-25)
    torch.testing.assert_close(
        lorentz.radius(lorentz.expmap0(v, c), c), expected, rtol=1e-13, atol=1e-25
    )


@curvatures
def test_curvature_only_scales(c: float) -> None:
    v, w = tangents(RADII, 4, 0), tangents(RADII, 4, 1)
    root = math.sqrt(c)
    torch.testing.assert_close(
        lorentz.tangent_pairwise_distance(v, w, c),
        lorentz.tangent_pairwise_distance(root * v, root * w, 1.0) / root,
        rtol=1e-12,
        atol=1e-25,
    )


def test_a_collapsed_embedding_is_measured_piece_by_piece() -> None:
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(1, 64, generator=generator, dtype=torch.float64)
    v = centre + 1e-6 * torch.randn(300, 64, generator=generator, dtype=torch.float64)
    assert v.shape[0] ** 2 * v.shape[1] > lorentz._BLOCK
    v.requires_grad_()
    found = lorentz.tangent_pairwise_distance(v, v, 1.0)
    x = lorentz.expmap0(v, 1.0)
    expected = lorentz.distance(x[:, None], x[None], 1.0)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-14)
    (gradient,) = torch.autograd.grad(found.square().sum(), v)
    (reference,) = torch.autograd.grad(expected.square().sum(), v)
    torch.testing.assert_close(gradient, reference, rtol=1e-5, atol=1e-6)


def test_float32_tangents_are_measured_in_float64() -> None:
    v, w = tangents([5.0, 6.0], 8, 0).float(), tangents([6.0, 5.0], 8, 1).float()
    v.requires_grad_()
    found = lorentz.tangent_pairwise_distance(v, w, 1.0)
    assert found.dtype == torch.float64
    assert torch.equal(found, lorentz.tangent_pairwise_distance(v.double(), w.double(), 1.0))
    (gradient,) = torch.autograd.grad(found.sum(), v)
    assert gradient.dtype == torch.float32


def test_the_reference_knows_a_right_angle() -> None:
    """In a right-angled triangle cosh d = cosh a cosh b: the reference is not our formula."""
    found = exact_distance([1.5, 0.0], [0.0, 2.0], 1.0)
    assert float(found) == pytest.approx(float(mpmath.acosh(mpmath.cosh(1.5) * mpmath.cosh(2))))


@pytest.mark.parametrize("c", CURVATURES)
def test_squared_lorentzian_distance_is_the_one_of_the_inner_product(c: float) -> None:
    x = lorentz.expmap0(tangents([0.1, 1.0, 2.0], 3, 0), c)
    y = lorentz.expmap0(tangents([0.3, 0.7, 1.5], 3, 1), c)
    torch.testing.assert_close(
        lorentz.lorentzian_squared(lorentz.distance(x, y, c), c),
        -2.0 / c - 2.0 * lorentz.inner(x, y),
        rtol=1e-9,
        atol=1e-12,
    )
    small = torch.tensor(1e-5, dtype=torch.float64)
    assert float(lorentz.lorentzian_squared(small, c)) == pytest.approx(1e-10, rel=1e-8)
