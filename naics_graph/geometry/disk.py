"""A picture of an embedding in the unit disk, for maps of the taxonomy."""

from __future__ import annotations

import torch
from torch import Tensor

from naics_graph.geometry import lorentz


def disk_layout(points: Tensor, curvature: float) -> Tensor:
    """Poincaré-disk coordinates that keep every radius and the two main directions.

    The direction is that of the tangent vector at the origin projected on the first two principal
    axes of all of them; the radius is the true one, tanh(√c r / 2). Angles are approximate, radii
    exact.

    Args:
        points: (n, d+1) Lorentz points, time first, d at least 2.
        curvature: c > 0.

    Returns:
        (n, 2) inside the unit disk. The sign of each axis is fixed by its largest component.
    """
    tangent = lorentz.logmap0(points, curvature)
    _, _, axes = torch.linalg.svd(tangent - tangent.mean(dim=0), full_matrices=False)
    axes = axes[:2]
    largest = axes.abs().argmax(dim=1, keepdim=True)
    axes = axes * axes.gather(1, largest).sign()
    flat = tangent @ axes.T
    direction = torch.nn.functional.normalize(flat, dim=1)
    radius = lorentz.radius(points, curvature)[:, None]
    return direction * torch.tanh(0.5 * curvature**0.5 * radius)
