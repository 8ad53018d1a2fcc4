"""The Lorentz model of hyperbolic space: the only home of its formulas.

Convention. c > 0 is the *magnitude* of the curvature, which is -c. A point is x = [x_0, x_s], time
first, on the sheet <x, x> = -x_0^2 + |x_s|^2 = -1/c, x_0 > 0; the origin is [1/sqrt(c), 0]. A
tangent vector at the origin is written v (..., d), without its time part, which is zero; |v| is the
distance of its point from the origin. Everything is computed and returned in float64, whatever
floating type comes in. Values and gradients are finite from coincident points to radius 12 for c in
[0.1, 10] (tests/geometry sweeps it).

Sources. Where none is given: Nickel & Kiela 2018, "Learning Continuous Hierarchies in the Lorentz
Model of Hyperbolic Geometry". The polar distance is the hyperbolic law of cosines in half angles,

    sinh^2(sqrt(c) d / 2) = sinh^2((rho_1 - rho_2) / 2) + sinh(rho_1) sinh(rho_2) |u_1 - u_2|^2 / 4

with rho = sqrt(c) r and u the direction: no difference of large numbers at any radius.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from naics_graph.errors import DataError

KNN_WIDTH = 66
"""Length of stored index vectors: sets of up to KNN_WIDTH - 2 dimensions are padded to it."""

_TINY = 1e-60
"""Floor of squared lengths before a square root: its root is still exact, its inverse finite."""

_CLOSE = 1e-4
"""Squared chords below this are taken from differences: 2 - 2u.v has lost four digits and more."""

_BLOCK = 1 << 22
"""Numbers held at once while close pairs are recomputed (32 MiB)."""

Curvature = float | Tensor


def geoopt_k(c: float) -> float:
    """The `k` of geoopt's Lorentz manifold, whose sheet is <x, x> = -k: 1/c."""
    return 1.0 / c


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Lorentz product of (..., d+1) and (..., d+1): (...); at most -1/c for two points."""
    x, y = x.double(), y.double()
    return (x[..., 1:] * y[..., 1:]).sum(-1) - x[..., 0] * y[..., 0]


def expmap0(tangent: Tensor, c: Curvature) -> Tensor:
    """Points (..., d+1) reached from the origin along (..., d): x_s = sinh(rho) v/|v| / sqrt(c)."""
    root = _root(c)
    length, direction = _length_direction(tangent)
    space = torch.sinh(root * length) / root * direction
    return torch.cat([torch.cosh(root * length) / root, space], dim=-1)


def logmap0(point: Tensor, c: Curvature) -> Tensor:
    """Tangent vectors at the origin (..., d) whose `expmap0` is `point` (..., d+1)."""
    root = _root(c)
    length, direction = _length_direction(point[..., 1:])
    return torch.asinh(root * length) / root * direction


def radius(point: Tensor, c: Curvature) -> Tensor:
    """Distance from the origin, (..., d+1) -> (...), >= 0: asinh(sqrt(c) |x_s|) / sqrt(c)."""
    root = _root(c)
    length, _ = _length_direction(point[..., 1:])
    return (torch.asinh(root * length) / root).squeeze(-1)


def distance(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """Geodesic distance of (..., d+1) and (..., d+1): (...), > 0, about 1e-30 for equal points."""
    return 2.0 * torch.asinh(_half_sinh_squared(x, y, c).sqrt()) / _root(c)


def pairwise_distance(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """Geodesic distances of all pairs: (n, d+1), (m, d+1) -> (n, m), >= 0."""
    rho_x, u = _polar(x, c)
    rho_y, v = _polar(y, c)
    return 2.0 / _root(c) * _half_angle(rho_x, u, rho_y, v)


def tangent_pairwise_distance(v: Tensor, w: Tensor, c: Curvature) -> Tensor:
    """Distances of expmap0(v) (n, d) from expmap0(w) (m, d): (n, m), >= 0.

    Straight from the tangent vectors, so that nothing is lost by going through points; the hot path
    of training.
    """
    root = _root(c)
    length_v, direction_v = _length_direction(v)
    length_w, direction_w = _length_direction(w)
    return 2.0 / root * _half_angle(root * length_v, direction_v, root * length_w, direction_w)


def lorentzian_squared(distance: Tensor, c: Curvature) -> Tensor:
    """-2/c - 2 <x, y> of points at these geodesic distances: (...) >= 0, d^2 for small d.

    (4/c) sinh^2(sqrt(c) d / 2), the squared Lorentzian distance (Law et al. 2019), whose weighted
    sum over points is least at their `centroid`; it orders pairs as the distance does.
    """
    return 4.0 / c * torch.sinh(_root(c) * distance.double() / 2.0).square()


def bound_radius(tangent: Tensor, max_radius: float) -> Tensor:
    """(..., d) shortened to lengths below `max_radius`: R tanh(|v|/R) v/|v|.

    Smooth, the identity near zero; a hard cap would leave no gradient beyond it.
    """
    length, direction = _length_direction(tangent)
    return max_radius * torch.tanh(length / max_radius) * direction


def centroid(points: Tensor, weights: Tensor, c: Curvature) -> Tensor:
    """Lorentz centroid: (..., n, d+1), weights (..., n) >= 0 with a positive sum -> (..., d+1).

    m = sum w x, divided by sqrt(c) sqrt(-<m, m>) (Law et al. 2019, "Lorentzian Distance Learning").
    With e the direction of m_s, -<m, m> = (m_0 + |m_s|) sum w (x_0 - e.x_s), and each term is
    1/(c (x_0 + |x_s|)) + |x_s| |u - e|^2 / 2: sums of positive numbers, where the difference of
    squares would cancel at large radius.
    """
    points, weights = points.double(), weights.double().unsqueeze(-1)
    total = (weights * points).sum(-2)
    gap = (weights * _gaps(points, _axis(total).unsqueeze(-2), c)).sum(-2)
    return _onto_sheet(total, gap, c)


def segment_centroid(
    points: Tensor, weights: Tensor, segment: Tensor, size: int, c: Curvature
) -> Tensor:
    """`centroid` of groups of any sizes: (e, d+1), weights (e,), segment (e,) -> (size, d+1).

    segment: (e,) group of each point, in [0, size); every group needs a positive sum of weights.
    """
    points, weights = points.double(), weights.double().unsqueeze(-1)
    total = points.new_zeros(size, points.shape[-1]).index_add(0, segment, weights * points)
    gaps = weights * _gaps(points, _axis(total)[segment], c)
    return _onto_sheet(total, gaps.new_zeros(size, 1).index_add(0, segment, gaps), c)


def expmap(point: Tensor, tangent: Tensor, c: Curvature) -> Tensor:
    """Follow `tangent` (..., d+1) with <point, tangent> = 0 from `point` (..., d+1): (..., d+1).

    Vectors at a point other than the origin are written in the ambient space, where their digits
    go as e^(2 sqrt(c) r): good to 1e-7 for sqrt(c) r <= 3. Far out, work from the origin.
    """
    point, tangent = point.double(), tangent.double()
    length = _root(c) * _tangent_length(point, tangent[..., 1:], c)
    reached = torch.cosh(length) * point + torch.sinh(length) / length * tangent
    return _with_time(reached[..., 1:], c)


def _tangent_length(point: Tensor, space: Tensor, c: Curvature) -> Tensor:
    """Length (..., 1) of the tangent vector at `point` whose space part is (..., d).

    sqrt(<v, v>) as |part across x_s|^2 + (part along x_s)^2 / (c x_0^2), where nothing cancels.
    """
    _, direction = _length_direction(point[..., 1:])
    along = (space * direction).sum(-1, keepdim=True)
    across = (space - along * direction).square().sum(-1, keepdim=True)
    # The root has an infinite slope at 0: a zero vector gets no gradient through its length.
    squared = across + along.square() / (c * point[..., :1].square())
    return squared.clamp_min(_TINY).sqrt()


def logmap(point: Tensor, target: Tensor, c: Curvature) -> Tensor:
    """Tangent vector (..., d+1) at `point` (..., d+1) of length distance(point, target)."""
    q = _half_sinh_squared(point, target, c).unsqueeze(-1)
    # q = sinh^2(h), h the half angle: cosh(2 h) = 1 + 2 q, sinh(2 h) = 2 sqrt(q (1 + q)).
    scale = torch.asinh(q.sqrt()) / (q * (1.0 + q)).sqrt()
    return scale * ((target.double() - point.double()) - 2.0 * q * point)


def parallel_transport(point: Tensor, target: Tensor, tangent: Tensor, c: Curvature) -> Tensor:
    """Carry `tangent` at `point` along the geodesic to `target`; all (..., d+1).

    v + c <y, v> / (1 - c <x, y>) (x + y), whose denominator is at least 2.
    """
    point, target, tangent = point.double(), target.double(), tangent.double()
    denominator = 2.0 + 2.0 * _half_sinh_squared(point, target, c)
    scale = c * inner(target, tangent) / denominator
    return tangent + scale.unsqueeze(-1) * (point + target)


def to_poincare(point: Tensor, c: Curvature) -> Tensor:
    """Unit ball (..., d): sqrt(c) x_s / (1 + sqrt(c) x_0), of norm tanh(sqrt(c) r / 2) <= 1."""
    scaled = _root(c) * point.double()
    return scaled[..., 1:] / (1.0 + scaled[..., :1])


def sheet_error(point: Tensor, c: Curvature) -> Tensor:
    """How far (..., d+1) is off the sheet: (...), |<x, x> + 1/c| / x_0^2, stored points <= 1e-9."""
    point = point.double()
    return (inner(point, point) + 1.0 / c).abs() / point[..., 0].square()


def knn_vectors(points: Tensor, width: int = KNN_WIDTH) -> Tensor:
    """Vectors (n, width) for a cosine index: [x_0, x_s, sqrt(M^2 - |x|^2), 0 ...], all of norm M.

    points: (n, d+1) with d <= width - 2. M is the largest Euclidean norm among them. Against
    `knn_query` the cosine order is the Lorentz order (DESIGN section 7).
    """
    points = points.double()
    squared = points.square().sum(-1, keepdim=True)
    if squared.numel() == 0:
        return _padded(points, width, spare=1)
    # The largest point may round to a negative rest.
    rest = (squared.max() - squared).clamp_min(0.0).sqrt()
    return _padded(torch.cat([points, rest], dim=-1), width, spare=0)


def knn_query(point: Tensor, width: int = KNN_WIDTH) -> Tensor:
    """Index query of (..., d+1): (..., width), [-q_0, q_s, 0, 0 ...]."""
    point = point.double()
    return _padded(torch.cat([-point[..., :1], point[..., 1:]], dim=-1), width, spare=1)


def _padded(vectors: Tensor, width: int, *, spare: int) -> Tensor:
    missing = width - vectors.shape[-1]
    if missing < spare:
        dims = vectors.shape[-1] + spare - 2
        raise DataError(
            f"an embedding of {dims} dimensions does not fit index vectors of length {width}",
            where="knn",
            do=f"train with at most {width - 2} dimensions",
        )
    return torch.nn.functional.pad(vectors, (0, missing))


def _root(c: Curvature) -> Curvature:
    return c.double().sqrt() if isinstance(c, Tensor) else math.sqrt(c)


def _axis(total: Tensor) -> Tensor:
    """Direction (..., d) of a sum of points; any unit vector serves where it has none."""
    length, direction = _length_direction(total[..., 1:])
    axis = torch.zeros_like(direction)
    axis[..., 0] = 1.0
    return torch.where(length > math.sqrt(_TINY), direction, axis)


def _gaps(points: Tensor, axis: Tensor, c: Curvature) -> Tensor:
    """x_0 - e.x_s of points (..., d+1) and unit vectors e (..., d): (..., 1), > 0."""
    lengths, directions = _length_direction(points[..., 1:])
    chord = (directions - axis).square().sum(-1, keepdim=True)
    return 1.0 / (c * (points[..., :1] + lengths)) + lengths * chord / 2.0


def _onto_sheet(total: Tensor, gap: Tensor, c: Curvature) -> Tensor:
    """The point on the ray of `total`, whose m_0 - |m_s| is `gap` (..., 1)."""
    length, _ = _length_direction(total[..., 1:])
    return _with_time(total[..., 1:] / (_root(c) * (gap * (total[..., :1] + length)).sqrt()), c)


def _with_time(space: Tensor, c: Curvature) -> Tensor:
    """The point of the sheet with this space part."""
    time = (space.square().sum(-1, keepdim=True) + 1.0 / c).sqrt()
    return torch.cat([time, space], dim=-1)


def _length_direction(vector: Tensor) -> tuple[Tensor, Tensor]:
    """|v| (..., 1) and v/|v| (..., d), of which a zero vector has none: it stays zero."""
    vector = vector.double()
    # At zero the length is constant and only the direction carries gradient, times the length it
    # is multiplied by: that product is the true derivative there.
    length = vector.square().sum(-1, keepdim=True).clamp_min(_TINY).sqrt()
    return length, vector / length


def _polar(point: Tensor, c: Curvature) -> tuple[Tensor, Tensor]:
    """The rho = sqrt(c) r (..., 1) and direction (..., d) of points (..., d+1)."""
    length, direction = _length_direction(point[..., 1:])
    return torch.asinh(_root(c) * length), direction


def _half_sinh_squared(x: Tensor, y: Tensor, c: Curvature) -> Tensor:
    """sinh^2(sqrt(c) d / 2) of (..., d+1) and (..., d+1): (...), at least _TINY."""
    rho_x, u = _polar(x, c)
    rho_y, v = _polar(y, c)
    angular = torch.sinh(rho_x) * torch.sinh(rho_y) * (u - v).square().sum(-1, keepdim=True) / 4.0
    radial = torch.sinh((rho_x - rho_y) / 2.0).square()
    # The square root that follows has an infinite slope at 0: coincident points get gradient 0.
    return (radial + angular).squeeze(-1).clamp_min(_TINY)


def _half_angle(rho_x: Tensor, u: Tensor, rho_y: Tensor, v: Tensor) -> Tensor:
    result: Tensor = _HalfAngle.apply(rho_x, u, rho_y, v)  # type: ignore[no-untyped-call]
    return result


class _HalfAngle(torch.autograd.Function):
    """sqrt(c) d / 2 of all pairs, (n, m), from rho (n, 1), (m, 1) and directions (n, d), (m, d).

    The formula of `_half_sinh_squared` for matrices, with its derivative by hand (autograd takes
    1.7 times as long). Squared chords come from one matrix product, 2 - 2 u.v; pairs closer than
    _CLOSE, where that cancels, from differences.
    """

    @staticmethod
    def forward(ctx: Any, rho_x: Tensor, u: Tensor, rho_y: Tensor, v: Tensor) -> Tensor:
        """(n, m), > 0."""
        chord = torch.addmm(u.new_full((1, 1), 2.0), u, v.T, alpha=-2.0)
        rows, columns = (chord < _CLOSE).nonzero(as_tuple=True)
        for i, j in _blocks(rows, columns, u.shape[1]):
            chord[i, j] = (u[i] - v[j]).square().sum(-1)
        angular = chord.mul_(torch.sinh(rho_x) / 4.0).mul_(torch.sinh(rho_y).T)
        # Kept off zero because the derivative divides by it; for coincident points it then is 0.
        squared = (rho_x / 2.0 - rho_y.T / 2.0).sinh_().square_().add_(angular).clamp_min_(_TINY)
        half, root = squared.sqrt(), (squared + 1.0).sqrt_()
        # asinh(half): torch's own is not vectorised and takes three times as long.
        angle = squared.div_(root + 1.0).add_(half).log1p_()
        ctx.save_for_backward(rho_x, u, rho_y, v, angular, half.mul_(root), rows, columns)
        return angle

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """With h = sinh of the half angle: d asinh(h) / d h^2 = 1 / (2 h sqrt(1 + h^2))."""
        rho_x, u, rho_y, v, angular, half_root, rows, columns = ctx.saved_tensors
        slope = gradient.div(half_root).mul_(0.5)
        radial = (rho_x - rho_y.T).sinh_().mul_(slope).mul_(0.5)
        weighted = angular * slope
        grad_rho_x = radial.sum(1, True) + weighted.sum(1, True) / torch.tanh(rho_x)
        grad_rho_y = weighted.sum(0)[:, None] / torch.tanh(rho_y) - radial.sum(0)[:, None]
        chord = slope.mul_(torch.sinh(rho_x) / 4.0).mul_(torch.sinh(rho_y).T)
        close = chord[rows, columns].mul_(2.0)
        chord[rows, columns] = 0.0
        grad_u = torch.mm(chord, v).mul_(-2.0)
        grad_v = torch.mm(chord.T, u).mul_(-2.0)
        parts = torch.split(close, _block_size(u.shape[1]))
        for (i, j), part in zip(_blocks(rows, columns, u.shape[1]), parts, strict=True):
            step = (u[i] - v[j]).mul_(part[:, None])
            grad_u.index_add_(0, i, step)
            grad_v.index_add_(0, j, step, alpha=-1.0)
        return grad_rho_x, grad_u, grad_rho_y, grad_v


def _blocks(rows: Tensor, columns: Tensor, dims: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs in pieces of at most _BLOCK numbers: a collapsed embedding still fits memory."""
    size = _block_size(dims)
    return zip(torch.split(rows, size), torch.split(columns, size), strict=True)


def _block_size(dims: int) -> int:
    return max(1, _BLOCK // max(1, dims))
