"""How faithfully distances between codes draw the tree, by the definitions of DESIGN section 9.

The tree metric itself scores 1 everywhere (Spearman: its ceiling) and distortion 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from naics_graph.evaluate.retrieval import require_finite
from naics_graph.taxonomy.tree import Tree

Distances = NDArray[np.floating]
"""(n, n), symmetric, in tree order."""


@dataclass(frozen=True, slots=True)
class TreeMetrics:
    """Agreement of distances with the tree, over all codes.

    pearson, spearman: of distance and tree distance over all pairs, in [-1, 1]. spearman_ceiling:
    the most a metric without ties can reach against a tree with many. parent_at_1, edge_map: in
    [0, 1]. distortion: mean relative error under the best single scale, >= 0.
    """

    pearson: float
    spearman: float
    spearman_ceiling: float
    parent_at_1: float
    edge_map: float
    distortion: float


def tree_metrics(distance: Distances, tree: Tree) -> TreeMetrics:
    """Measure (n, n) distances against a tree of n codes.

    Raises:
        NaicsGraphError: a distance that is not finite.
    """
    require_finite(distance, "distances between codes")
    upper = np.triu_indices(len(tree.codes), k=1)
    found = distance[upper].astype(np.float64)
    wanted = tree.distance[upper]
    wanted_ranks = _integer_ranks(wanted)
    return TreeMetrics(
        pearson=_correlation(found, wanted),
        spearman=_correlation(rankdata(found), wanted_ranks),
        spearman_ceiling=_ceiling(wanted_ranks),
        parent_at_1=float(parent_hits(distance, tree).mean()),
        edge_map=float(edge_average_precision(distance, tree).mean()),
        distortion=_distortion(found, wanted),
    )


def parent_hits(distance: Distances, tree: Tree) -> NDArray[np.bool_]:
    """(codes below sectors,) whether the parent is nearest, untied, of the codes one level up."""
    hits = []
    for depth in range(2, 6):
        children = np.flatnonzero(tree.depth == depth)
        above = np.flatnonzero(tree.depth == depth - 1)
        among = distance[np.ix_(children, above)]
        own = distance[children, tree.parent[children]]
        # The parent is one of them: exactly one at most as far means it is nearest and not tied.
        hits.append((among <= own[:, None]).sum(axis=1) == 1)
    return np.concatenate(hits)


def edge_average_precision(distance: Distances, tree: Tree) -> NDArray[np.float64]:
    """(n,) average precision with which all other codes rank parent and children first.

    A tie counts at its mean rank, among all codes and among the relevant ones.
    """
    others = distance.astype(np.float64, copy=True)
    np.fill_diagonal(others, np.inf)
    ordered = np.sort(others, axis=1)
    neighbours = _neighbours(tree)
    result = np.zeros(len(tree.codes))
    for i, relevant in enumerate(neighbours):
        own = np.sort(others[i, relevant])
        result[i] = (_places(own, own) / _places(ordered[i], own)).mean()
    return result


def _places(ordered: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean rank, from 1, that each value holds in an ascending array containing it."""
    before = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    result: NDArray[np.float64] = (before + upto + 1) / 2
    return result


def _neighbours(tree: Tree) -> list[list[int]]:
    """Parent and children of every code."""
    result: list[list[int]] = [[] for _ in tree.codes]
    for child, parent in enumerate(tree.parent.tolist()):
        if parent >= 0:
            result[child].append(parent)
            result[parent].append(child)
    return result


def _integer_ranks(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean ranks of small non-negative integers, by counting."""
    counts = np.bincount(values)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    result: NDArray[np.float64] = ranks[values]
    return result


def _ceiling(ranks: NDArray[np.float64]) -> float:
    """Largest Spearman of any order without ties against these ranks: it sorts as they do.

    The covariance is then the variance of the tied ranks, since ties average the order's own ranks.
    """
    n = len(ranks)
    return float(ranks.std() / np.sqrt((n * n - 1) / 12))


def _correlation(x: NDArray[np.floating], y: NDArray[np.number]) -> float:
    """Pearson correlation; 0 where one side is constant and orders nothing."""
    x = x - x.mean()
    y = y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


def _distortion(found: NDArray[np.float64], wanted: NDArray[np.int64]) -> float:
    """Mean of |s d - T| / T under s = sum(d/T) / sum((d/T)^2); 1 where all distances are 0."""
    ratio = found / wanted
    squares = float(ratio @ ratio)
    scale = float(ratio.sum()) / squares if squares else 0.0
    return float(np.abs(scale * ratio - 1.0).mean())
