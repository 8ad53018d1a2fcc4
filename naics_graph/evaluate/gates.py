"""Whether the fourth stage may replace the third: no loss on held-out text, a gain on the tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naics_graph.evaluate.hierarchy import TreeMetrics

MARGIN = 0.001
"""Tree figures are exact, without sampling noise; smaller changes still mean nothing to a user."""

HIGHER_IS_BETTER = ("pearson", "spearman", "parent_at_1", "edge_map")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage shows: (q,) reciprocal ranks of held-out texts, tree figures, and, where codes
    were kept from training, which of them find their parent (`unseen`, (k,)). `train` keeps no code
    from training, so it has no `unseen`; `benchmarks/held_out.py` has.
    """

    reciprocal_ranks: NDArray[np.float64]
    tree: TreeMetrics
    unseen: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The decision, one sentence that says why, and the numbers it rests on."""

    accepted: bool
    reason: str
    numbers: Mapping[str, float]


def paired_bootstrap(
    a: NDArray[np.float64], b: NDArray[np.float64], resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of a - b over the same queries, with its 95 % percentile interval.

    Args:
        a: (q,) figures of one system, e.g. reciprocal ranks.
        b: (q,) figures of the other.
        resamples: how many times the queries are drawn again, with replacement.
        seed: of those draws.

    Returns:
        difference, low, high.

    Raises:
        ValueError: the two are not of the same queries, or there are none.
    """
    if a.shape != b.shape or not len(a):
        raise ValueError(f"paired figures have shapes {a.shape} and {b.shape}")
    difference = a - b
    generator = np.random.default_rng(seed)
    n = len(difference)
    means = [difference[generator.integers(0, n, n)].mean() for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def accept_refinement(
    before: Evidence, after: Evidence, *, resamples: int = 2000, seed: int = 0
) -> GateDecision:
    """Accept stage 4 (`after`) over stage 3 (`before`) by the rule of DESIGN section 5.

    It must not lose on held-out text beyond noise (the 95 % interval of the paired difference in
    MRR lies below 0), and must gain: a tree figure rises by at least MARGIN, or more parents are
    found of codes never trained on, beyond noise (the same interval over these codes, which are
    few, lies above 0), while no tree figure falls by MARGIN and no such share falls beyond noise.
    Without held-out text it is not accepted. The interval: Efron and Tibshirani 1993, chapter 13,
    resampling pairs.
    """
    if not len(before.reciprocal_ranks):
        return GateDecision(False, "refinement not judged: there is no held-out text", {})
    change, low, high = paired_bootstrap(
        after.reciprocal_ranks, before.reciprocal_ranks, resamples, seed
    )
    gains = _gains(before, after)
    numbers = {"mrr_change": change, "mrr_change_low": low, "mrr_change_high": high}
    numbers |= {f"{name}_change": gain for name, gain in gains.items()}
    text = f"held-out MRR {change:+.4f} (95 % {low:+.4f} to {high:+.4f})"
    best = max(gains, key=lambda name: gains[name])
    worst = min(gains, key=lambda name: gains[name])
    shown = f"{_words(best)} {gains[best]:+.4f}"
    found_low = found_high = 0.0
    if before.unseen is not None and after.unseen is not None:
        now, then = after.unseen.astype(np.float64), before.unseen.astype(np.float64)
        found, found_low, found_high = paired_bootstrap(now, then, resamples, seed)
        numbers |= {"unseen_change": found}
        numbers |= {"unseen_change_low": found_low, "unseen_change_high": found_high}
        interval = f"(95 % {found_low:+.4f} to {found_high:+.4f})"
        text += f"; parents of codes never trained on {found:+.4f} {interval}"
    if high < 0:
        return GateDecision(False, f"refinement loses on text: {text}", numbers)
    if found_high < 0:
        return GateDecision(False, f"refinement loses on codes never trained on: {text}", numbers)
    if gains[worst] <= -MARGIN:
        fallen = f"{_words(worst)} {gains[worst]:+.4f}"
        return GateDecision(False, f"refinement loses on the tree: {fallen}; {text}", numbers)
    if gains[best] >= MARGIN:
        return GateDecision(True, f"refinement gains: {shown}; {text}", numbers)
    if found_low > 0:
        return GateDecision(True, f"refinement gains on codes never trained on: {text}", numbers)
    return GateDecision(False, f"refinement gains nothing: at best {shown}; {text}", numbers)


def _gains(before: Evidence, after: Evidence) -> dict[str, float]:
    gains = {
        name: getattr(after.tree, name) - getattr(before.tree, name) for name in HIGHER_IS_BETTER
    }
    gains["distortion"] = before.tree.distortion - after.tree.distortion
    return gains


def _words(name: str) -> str:
    return {
        "pearson": "Pearson",
        "spearman": "Spearman",
        "parent_at_1": "parent@1",
        "edge_map": "edge MAP",
        "distortion": "less distortion",
    }[name]
