"""Speed and precision of the Lorentz distance.

    python benchmarks/geometry.py [--queries 512] [--codes 2125] [--dims 64] [--threads 2]

Speed: forward and backward of all pairs in float64, medians beside the textbook form
arcosh(-c <x, y>) and a bare Euclidean distance in the same run. Precision: largest relative error
against 60 digits (mpmath), by radius, for pairs at true distance 0.1.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import mpmath
import torch
from torch import Tensor

from naics_graph.geometry import lorentz

Form = Callable[[Tensor, Tensor], Tensor]
C = 1.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--queries", type=int, default=512)
    parser.add_argument("--codes", type=int, default=2125)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    _speed(options.queries, options.codes, options.dims)
    _precision(options.dims)


def textbook(v: Tensor, w: Tensor) -> Tensor:
    """All pairs by arcosh of the Lorentz product, clamped above 1."""
    x, y = lorentz.expmap0(v, C), lorentz.expmap0(w, C)
    flipped = torch.cat([-y[:, :1], y[:, 1:]], dim=1)
    return torch.acosh((-C * x @ flipped.T).clamp_min(1 + 1e-15)) / math.sqrt(C)


def polar(v: Tensor, w: Tensor) -> Tensor:
    """All pairs as training takes them."""
    return lorentz.tangent_pairwise_distance(v, w, C)


def _speed(queries: int, codes: int, dims: int) -> None:
    print(f"{queries} x {codes} pairs, d = {dims}, float64, {torch.get_num_threads()} threads\n")
    print("| form | forward ms | forward + backward ms |\n|---|---|---|")
    v, w = (torch.randn(n, dims, dtype=torch.float64) * 0.4 for n in (queries, codes))
    forms: dict[str, Form] = {
        "polar (ours)": polar,
        "textbook": textbook,
        "Euclidean": torch.cdist,
    }
    for name, form in forms.items():
        with torch.no_grad():
            forward = _median(partial(form, v, w))
        both = _median(partial(_backward, form, v, w))
        print(f"| {name} | {forward:.1f} | {both:.1f} |")


def _backward(form: Form, v: Tensor, w: Tensor) -> Tensor:
    v, w = v.detach().requires_grad_(), w.detach().requires_grad_()
    return torch.autograd.grad(form(v, w).mean(), [v, w])[0]


def _median(work: Callable[[], Tensor], repeats: int = 15) -> float:
    """Median milliseconds, the first two runs left out."""
    seconds = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds[2:])


def _precision(dims: int) -> None:
    print("\n| radius | polar (ours) | textbook |\n|---|---|---|")
    for radius in (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0):
        v, w = _pairs(radius, dims)
        exact = torch.tensor(
            [_exact(a, b) for a, b in zip(v.tolist(), w.tolist(), strict=True)],
            dtype=torch.float64,
        )
        errors = (
            ((form(v, w).diagonal() - exact).abs() / exact).max().item()
            for form in (polar, textbook)
        )
        print(f"| {radius} | " + " | ".join(f"{error:.0e}" for error in errors) + " |")


def _pairs(radius: float, dims: int, apart: float = 0.1, count: int = 20) -> tuple[Tensor, Tensor]:
    """Tangents of one length whose points are about `apart` from each other."""
    u = torch.nn.functional.normalize(torch.randn(count, dims, dtype=torch.float64))
    side = torch.randn(count, dims, dtype=torch.float64)
    side = torch.nn.functional.normalize(side - (side * u).sum(1, keepdim=True) * u)
    angle = 2 * math.asin(min(1.0, math.sinh(apart / 2) / math.sinh(radius)))
    return radius * u, radius * (math.cos(angle) * u + math.sin(angle) * side)


def _exact(v: Sequence[float], w: Sequence[float]) -> float:
    with mpmath.workdps(60):
        a, b = ([mpmath.mpf(x) for x in row] for row in (v, w))
        length_a, length_b = (mpmath.sqrt(mpmath.fsum(x * x for x in row)) for row in (a, b))
        dot = mpmath.fsum(x * y for x, y in zip(a, b, strict=True)) / (length_a * length_b)
        cosh = mpmath.cosh(length_a) * mpmath.cosh(length_b)
        return float(mpmath.acosh(cosh - mpmath.sinh(length_a) * mpmath.sinh(length_b) * dot))


if __name__ == "__main__":
    main()
