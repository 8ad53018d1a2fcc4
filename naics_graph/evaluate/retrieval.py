"""How well a system finds the code of a text: rank figures over all candidates.

A tie counts at its mean rank, so a system that scores everything alike gains nothing; a score that
is not finite is an error, since NaN would pass for rank 1 when ranks are counted by `>`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from naics_graph.errors import NaicsGraphError

Scores = NDArray[np.floating]
"""(queries, candidates), higher is better."""


@dataclass(frozen=True, slots=True)
class RetrievalMetrics:
    """Means over queries: reciprocal rank, truth within the first 1, 5, 10, and LCA depth.

    All but `lca_level` in [0, 1]; `lca_level` is the mean depth, 0-5, of the lowest common ancestor
    of truth and first answer.
    """

    mrr: float
    top1: float
    hit5: float
    hit10: float
    lca_level: float


def retrieval_metrics(
    scores: Scores, truth: NDArray[np.int64], lca_depth: NDArray[np.int64]
) -> RetrievalMetrics:
    """Rank figures of one system.

    Args:
        scores: (q, n), higher is better.
        truth: (q,) candidate position of every query's code.
        lca_depth: (n, n) depth of the lowest common ancestor of two candidates.

    Raises:
        NaicsGraphError: no queries, or a score that is not finite.
    """
    ranks = mean_ranks(scores, truth)
    return RetrievalMetrics(
        mrr=float((1.0 / ranks).mean()),
        top1=float((ranks <= 1).mean()),
        hit5=float((ranks <= 5).mean()),
        hit10=float((ranks <= 10).mean()),
        lca_level=float(_first_answer_depth(scores, truth, lca_depth).mean()),
    )


def reciprocal_ranks(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """(q,) 1 / rank of the truth, in (0, 1]; the arguments and errors of `retrieval_metrics`."""
    result: NDArray[np.float64] = 1.0 / mean_ranks(scores, truth)
    return result


def mean_ranks(scores: Scores, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """(q,) rank of the truth, 1 to n; among equal scores the mean of their places.

    Raises:
        NaicsGraphError: no queries, or a score that is not finite.
    """
    if not len(truth):
        raise NaicsGraphError(
            "there is no query to score", where="evaluation", do="give at least one labelled text"
        )
    require_finite(scores, "scores of texts and codes")
    own = np.take_along_axis(scores, truth[:, None], axis=1)
    better = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)
    result: NDArray[np.float64] = better + (equal + 1) / 2
    return result


def require_finite(values: NDArray[np.floating], what: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        NaicsGraphError: naming how many values are not finite.
    """
    bad = int(values.size - np.isfinite(values).sum())
    if bad:
        raise NaicsGraphError(
            f"{bad} of {values.size} values are not finite",
            where=what,
            do="the model that gave them has diverged: train again with a smaller learning rate",
        )


def _first_answer_depth(
    scores: Scores, truth: NDArray[np.int64], lca_depth: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(q,) LCA depth of truth and first answer, averaged over equally good first answers."""
    first = scores == scores.max(axis=1, keepdims=True)
    total = np.where(first, lca_depth[truth], 0).sum(axis=1)
    result: NDArray[np.float64] = total / first.sum(axis=1)
    return result
