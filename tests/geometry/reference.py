"""Independent references: geoopt in float64, and the textbook formulas in 80 digits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import mpmath
import torch
from torch import Tensor

DIGITS = 80
CURVATURES = (0.1, 0.5, 1.0, 2.0, 10.0)
RADII = (0.0, 1e-9, 1e-3, 0.1, 1.0, 3.0, 6.0, 9.0, 12.0)
EPSILON = 2.0**-52


def tangents(radii: Sequence[float], dims: int, seed: int) -> Tensor:
    """(len(radii), dims) vectors of these lengths in random directions."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(len(radii), dims, generator=generator, dtype=torch.float64)
    direction /= direction.norm(dim=1, keepdim=True)
    return direction * torch.tensor(radii, dtype=torch.float64)[:, None]


def geoopt_lorentz(c: float) -> Any:
    """Geoopt's manifold of curvature -c, in float64."""
    with warnings.catch_warnings():
        # Its import touches the deprecated torch.jit.
        warnings.simplefilter("ignore", DeprecationWarning)
        import geoopt
    return geoopt.Lorentz(k=torch.tensor(1.0 / c, dtype=torch.float64))


def exact_point(tangent: Sequence[float], c: float) -> list[Any]:
    """The exp of a tangent vector at the origin, time first, in 80 digits."""
    with mpmath.workdps(DIGITS):
        values = [mpmath.mpf(x) for x in tangent]
        length = mpmath.sqrt(mpmath.fsum(x * x for x in values))
        root = mpmath.sqrt(mpmath.mpf(c))
        scale = mpmath.sinh(root * length) / (root * length) if length else mpmath.mpf(1)
        return [mpmath.cosh(root * length) / root, *(scale * x for x in values)]


def exact_inner(x: Sequence[Any], y: Sequence[Any]) -> Any:
    """Lorentz product in 80 digits."""
    with mpmath.workdps(DIGITS):
        return mpmath.fsum(a * b for a, b in zip(x[1:], y[1:], strict=True)) - x[0] * y[0]


def exact_distance(v: Sequence[float], w: Sequence[float], c: float) -> Any:
    """arcosh(-c <exp v, exp w>) / sqrt(c) in 80 digits."""
    product = exact_inner(exact_point(v, c), exact_point(w, c))
    with mpmath.workdps(DIGITS):
        # Equal points may round a hair below 1.
        cosh = mpmath.mpf(max(-mpmath.mpf(c) * product, mpmath.mpf(1)))
        return mpmath.acosh(cosh) / mpmath.sqrt(mpmath.mpf(c))
