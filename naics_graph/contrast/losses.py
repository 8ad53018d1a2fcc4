"""Losses of stage 3. Each states the inequality or the fit it enforces.

Distances are geodesic, float64. `n` codes, `b` queries; a smaller distance is a better match.
"""

from __future__ import annotations

import torch
from torch import Tensor


def decoupled_contrastive(distance: Tensor, positive: Tensor, temperature: Tensor) -> Tensor:
    """Decoupled contrastive loss: d(q, positive) below a soft minimum of d(q, negatives).

        mean_i  d_ip / t + log sum_{j != p} exp(-d_ij / t)

    The positive is left out of the sum, so its gradient does not fade as the batch gets easy
    (Yeh et al. 2022, "Decoupled Contrastive Learning", eq. 6, with -d in the place of similarity).

    Args:
        distance: (b, m) distances to all candidates.
        positive: (b,) column of the positive.
        temperature: () > 0.

    Returns:
        () may be negative: it is unbounded below where every negative is far.
    """
    similarity = -distance / temperature
    chosen = similarity.gather(1, positive[:, None]).squeeze(1)
    negatives = similarity.scatter(1, positive[:, None], float("-inf"))
    return (torch.logsumexp(negatives, dim=1) - chosen).mean()


def smoothed_cross_entropy(
    distance: Tensor, positive: Tensor, temperature: Tensor, smoothing: float
) -> Tensor:
    """Softmax cross-entropy over -distance / temperature with label smoothing.

    Args:
        distance: (b, m) distances to all candidates.
        positive: (b,) column of the positive.
        temperature: () > 0.
        smoothing: share of the target spread over all candidates, in [0, 1).

    Returns:
        () at least 0.
    """
    return torch.nn.functional.cross_entropy(
        -distance / temperature, positive, label_smoothing=smoothing
    )


def hierarchy_preservation(distance: Tensor, tree_distance: Tensor, scale: Tensor) -> Tensor:
    """Weighted stress: scale · d(x, y) equals the tree distance T(x, y).

        sum w (s d - T)² / sum w,   w = 1 / (1 + T)

    Args:
        distance: (m, n) geodesic.
        tree_distance: (m, n) in edges, 0-10.
        scale: () edges per unit of distance.

    Returns:
        () at least 0, in squared edges.
    """
    weight = 1.0 / (1.0 + tree_distance)
    return (weight * (scale * distance - tree_distance).square()).sum() / weight.sum()


def radius_regularisation(radius: Tensor, depth: Tensor, step: float) -> Tensor:
    """Mean squared gap between a code's radius and `step` · depth.

    Args:
        radius: (n,) geodesic distance to the origin.
        depth: (n,) 1-5.
        step: the τ of r = τ · depth.

    Returns:
        () at least 0.
    """
    return (radius - step * depth).square().mean()
