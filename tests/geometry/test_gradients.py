"""Gradients: right where the distance is smooth, finite everywhere."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor

from naics_graph.geometry import lorentz
from tests.geometry.reference import CURVATURES, RADII, exact_distance, tangents

curvatures = pytest.mark.parametrize("c", CURVATURES)


def through_points(v: Tensor, w: Tensor, c: float) -> Tensor:
    return lorentz.pairwise_distance(lorentz.expmap0(v, c), lorentz.expmap0(w, c), c)


def elementwise(v: Tensor, w: Tensor, c: float) -> Tensor:
    return lorentz.distance(lorentz.expmap0(v, c)[:, None], lorentz.expmap0(w, c)[None], c)


FORMS: list[Callable[[Tensor, Tensor, float], Tensor]] = [
    lorentz.tangent_pairwise_distance,
    through_points,
    elementwise,
]
forms = pytest.mark.parametrize("form", FORMS, ids=["tangent", "pairwise", "elementwise"])


@curvatures
@forms
def test_gradients_match_finite_differences(
    form: Callable[[Tensor, Tensor, float], Tensor], c: float
) -> None:
    v = tangents([0.3, 1.0, 2.0], 3, 0).requires_grad_()
    w = tangents([0.5, 1.0, 1.5, 2.5], 3, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: form(a, b, c), (v, w), eps=1e-6, atol=1e-7)


@curvatures
@forms
def test_close_and_distant_pairs_have_the_gradient_of_80_digits(
    form: Callable[[Tensor, Tensor, float], Tensor], c: float
) -> None:
    v = torch.tensor([[2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for other in ([2.0, 1e-3], [2.0, 1e-7], [2.0 + 1e-7, 1e-7], [0.0, 3.0], [-6.0, 1e-6]):
        w = torch.tensor([other], dtype=torch.float64)
        (found,) = torch.autograd.grad(form(v, w, c).sum(), v)
        exact = [
            mpmath.diff(lambda x: exact_distance([x, 0.0], other, c), 2.0, h=mpmath.mpf(10) ** -20),  # noqa: B023
            mpmath.diff(lambda y: exact_distance([2.0, y], other, c), 0.0, h=mpmath.mpf(10) ** -20),  # noqa: B023
        ]
        wanted = torch.tensor([[float(g) for g in exact]], dtype=torch.float64)
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@curvatures
@forms
def test_gradients_are_finite_everywhere(
    form: Callable[[Tensor, Tensor, float], Tensor], c: float
) -> None:
    v = torch.cat([tangents(RADII, 3, 0), tangents(RADII, 3, 1)])
    w = torch.cat([v, -v, v * (1 + 1e-15), v * (1 + 1e-12), torch.zeros(1, 3, dtype=torch.float64)])
    v.requires_grad_()
    w.requires_grad_()
    d = form(v, w, c)
    assert d.isfinite().all()
    for gradient in torch.autograd.grad(d.sum(), (v, w)):
        assert gradient.isfinite().all()


@forms
def test_coincident_points_get_no_gradient(form: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    for radius in RADII:
        v = tangents([radius], 3, 0).requires_grad_()
        (gradient,) = torch.autograd.grad(form(v, v.detach().clone(), 1.0).sum(), v)
        assert gradient.abs().max() == 0


@curvatures
@forms
def test_the_gradient_at_the_origin_points_away_from_the_other(
    form: Callable[[Tensor, Tensor, float], Tensor], c: float
) -> None:
    """Moving from the origin by dv changes the distance to exp(w) by -dv.w/|w|."""
    v = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    w = tangents([2.0], 4, 0)
    (gradient,) = torch.autograd.grad(form(v, w, c).sum(), v)
    torch.testing.assert_close(gradient, -w / 2.0, rtol=1e-9, atol=1e-12)


@curvatures
@pytest.mark.parametrize(
    "function",
    [
        lambda v, c: lorentz.expmap0(v, c),
        lambda v, c: lorentz.logmap0(lorentz.expmap0(v, c), c),
        lambda v, c: lorentz.radius(lorentz.expmap0(v, c), c),
        lambda v, c: lorentz.to_poincare(lorentz.expmap0(v, c), c),
        lambda v, _: lorentz.bound_radius(v, 3.0),
        lambda v, c: lorentz.centroid(
            lorentz.expmap0(v, c), torch.arange(1.0, 1.0 + len(v), dtype=torch.float64), c
        ),
    ],
    ids=["expmap0", "logmap0", "radius", "to_poincare", "bound_radius", "centroid"],
)
def test_maps_have_right_and_finite_gradients(
    function: Callable[[Tensor, float], Tensor], c: float
) -> None:
    smooth = tangents([0.4, 1.1, 2.0], 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: function(v, c), (smooth,), eps=1e-6, atol=1e-6)
    sweep = tangents(RADII, 3, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(function(sweep, c).sum(), sweep)
    assert gradient.isfinite().all()


def test_a_learned_curvature_gets_its_gradient() -> None:
    c = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    v, w = tangents([1.0, 2.0], 3, 0), tangents([2.0, 1.0], 3, 1)
    for form in FORMS:
        assert torch.autograd.gradcheck(
            lambda k, form=form: form(v, w, k), (c,), eps=1e-6, atol=1e-7
        )
