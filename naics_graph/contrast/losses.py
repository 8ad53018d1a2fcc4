"""Losses of stage 3. Each states the inequality or the fit it enforces.

Distances are geodesic, float64. `n` codes, `b` queries; a smaller distance is a better match.
"""

from __future__ import annotations

import torch
from torch import Tensor


def decoupled_contrastive(
    distance: Tensor, positive: Tensor, temperature: Tensor, allowed: Tensor | None = None
) -> Tensor:
    """Decoupled contrastive loss: d(q, positive) below a soft minimum of d(q, negatives).

        d_ip / t + log sum_{j != p} exp(-d_ij / t)

    The positive is left out of the sum, so its gradient does not fade as the batch gets easy
    (Yeh et al. 2022, "Decoupled Contrastive Learning", eq. 6, with -d in the place of similarity).

    Args:
        distance: (b, m) distances to all candidates.
        positive: (b,) column of the positive.
        temperature: () > 0.
        allowed: (b, m) bool, candidates that may be negatives; all of them by default. A row that
            allows none has nothing to tell apart and counts as 0.

    Returns:
        (b,) may be negative: it is unbounded below where every negative is far.
    """
    similarity = distance * (-1.0 / temperature)
    chosen = similarity.gather(1, positive[:, None]).squeeze(1)
    if allowed is None:
        allowed = torch.ones_like(distance, dtype=torch.bool)
    negative = allowed.scatter(1, positive[:, None], False)
    some = negative.any(dim=1)
    # A row without negatives keeps all of its candidates: the gradient of an empty sum is NaN.
    negatives = similarity.masked_fill(~negative & some[:, None], float("-inf"))
    return torch.where(some, torch.logsumexp(negatives, dim=1) - chosen, 0.0)


def smoothed_cross_entropy(
    distance: Tensor,
    positive: Tensor,
    temperature: Tensor,
    smoothing: float,
    allowed: Tensor | None = None,
) -> Tensor:
    """Softmax cross-entropy over -distance / temperature with label smoothing.

    Args:
        distance: (b, m) distances to all candidates.
        positive: (b,) column of the positive.
        temperature: () > 0.
        smoothing: share of the target spread over all candidates in use, in [0, 1).
        allowed: (b, m) bool, candidates that may be negatives; all of them by default. In use are
            these and the positive.

    Returns:
        (b,) at least 0.
    """
    logits = distance * (-1.0 / temperature)
    if allowed is None:
        return torch.nn.functional.cross_entropy(
            logits, positive, label_smoothing=smoothing, reduction="none"
        )
    used = allowed.scatter(1, positive[:, None], True)
    log_sum = torch.logsumexp(logits.masked_fill(~used, float("-inf")), dim=1)
    chosen = logits.gather(1, positive[:, None]).squeeze(1)
    mean = logits.masked_fill(~used, 0.0).sum(dim=1) / used.sum(dim=1)
    return log_sum - (1.0 - smoothing) * chosen - smoothing * mean


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
    weight = stress_weight(tree_distance)
    return (weight * (scale * distance - tree_distance).square()).sum() / weight.sum()


def stress_weight(tree_distance: Tensor) -> Tensor:
    """W = 1 / (1 + T), (m, n): near pairs count for more."""
    return 1.0 / (1.0 + tree_distance)


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


def lambda_rank(distance: Tensor, tree_distance: Tensor, width: float) -> Tensor:
    """LambdaRank on NDCG: of two candidates the one nearer in the tree is the nearer one.

        mean over rows of  sum_{T_i < T_j} |delta NDCG_ij| softplus((d_i - d_j) / width)

    The gain is named 2^-distance: an item of tree distance T is worth 2^-T, at rank r it counts
    1 / log2(1 + r), and NDCG is that sum over the best possible one. delta NDCG_ij is what swapping
    i and j in the present order changes; it carries no gradient, so mistakes near the top weigh
    most (Burges 2010, "From RankNet to LambdaRank to LambdaMART", section 4).

    Args:
        distance: (b, l) geodesic distances of lists of candidates from their anchors.
        tree_distance: (b, l) of the same pairs.
        width: the gap in distance that counts as clearly ordered, > 0.

    Returns:
        () at least 0.
    """
    change = ndcg_changes(distance.detach(), tree_distance)
    ordered = tree_distance[:, :, None] < tree_distance[:, None, :]
    gap = (distance[:, :, None] - distance[:, None, :]) / width
    weighted = torch.where(ordered, change, 0.0) * torch.nn.functional.softplus(gap)
    return weighted.sum(dim=(1, 2)).mean()


def ndcg_changes(distance: Tensor, tree_distance: Tensor) -> Tensor:
    """(b, l, l) |change of NDCG| with gain 2^-tree distance if two items swapped ranks.

    distance, tree_distance: (b, l). Ranks follow the distance; the first of equals comes first.
    """
    size = distance.shape[1]
    discount = 1.0 / torch.log2(torch.arange(size, device=distance.device).double() + 2.0)
    gain = torch.exp2(-tree_distance.double())
    best = (gain.sort(dim=1, descending=True).values * discount).sum(dim=1)
    rank = distance.argsort(dim=1, stable=True).argsort(dim=1)
    worth = discount[rank]
    change = (gain[:, :, None] - gain[:, None, :]) * (worth[:, :, None] - worth[:, None, :])
    return change.abs() / best[:, None, None]


def rank_lists(distance: Tensor, tree_distance: Tensor, length: int) -> Tensor:
    """Candidates each anchor ranks: (s, l) columns, the anchor itself (tree distance 0) not there.

    Its relatives at tree distance 1, then those at 2, then the nearest others, each by the present
    distance; l is `length`, or all others where there are fewer.

    Args:
        distance: (s, n) of all codes from the anchors.
        tree_distance: (s, n) of the same pairs.
        length: at least 1.
    """
    apart = distance.max() + 1.0
    key = distance - apart * (3.0 - tree_distance).clamp(min=0.0)
    key = key.masked_fill(tree_distance == 0, float("inf"))
    return key.topk(min(length, key.shape[1] - 1), dim=1, largest=False).indices
