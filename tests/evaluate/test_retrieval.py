"""Rank figures against naive loops and hand computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from naics_graph.errors import NaicsGraphError
from naics_graph.evaluate.retrieval import mean_ranks, reciprocal_ranks, retrieval_metrics
from naics_graph.taxonomy.tree import Tree
from tests.evaluate.small import small_taxonomy


def lca_of_leaves() -> np.ndarray:
    tree = Tree.of(small_taxonomy())
    leaves = np.flatnonzero(tree.depth == 5)
    return tree.lca_depth[np.ix_(leaves, leaves)]


@pytest.mark.parametrize("seed", range(3))
def test_ranks_match_scipy_with_and_without_ties(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 12, 50)
    for scores in (generator.normal(size=(50, 12)), generator.integers(0, 4, (50, 12)) / 2):
        expected = [rankdata(-row)[t] for row, t in zip(scores, truth, strict=True)]
        assert mean_ranks(scores, truth).tolist() == expected
        assert reciprocal_ranks(scores, truth).tolist() == [1 / rank for rank in expected]


def test_figures_by_hand() -> None:
    lca = lca_of_leaves()
    scores = np.zeros((3, 8))
    scores[0, 0] = 1.0  # right
    scores[1, [2, 1]] = 2.0, 1.0  # second; the first answer is its sibling below the same 11112
    scores[2, [4, 5, 0]] = 1.0  # the truth, 7, is tied with four others behind three
    found = retrieval_metrics(scores, np.array([0, 1, 7]), lca)
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1 / 6) / 3)
    assert (found.top1, found.hit5, found.hit10) == pytest.approx((1 / 3, 2 / 3, 1.0))
    # Truth itself: depth 5. Siblings below a five-digit code: 4. Tied first answers of the third
    # query share a sector (depth 1), a sector, nothing.
    assert found.lca_level == pytest.approx((5 + 4 + (1 + 1 + 0) / 3) / 3)


def test_scoring_everything_alike_gains_nothing() -> None:
    found = retrieval_metrics(np.zeros((4, 8)), np.arange(4), lca_of_leaves())
    assert (found.mrr, found.top1, found.hit5) == pytest.approx((1 / 4.5, 0.0, 1.0))
    wide = retrieval_metrics(
        np.zeros((1, 100)), np.array([3]), np.zeros((100, 100), dtype=np.int64)
    )
    assert (wide.hit5, wide.hit10) == (0.0, 0.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused(bad: float) -> None:
    scores = np.zeros((2, 8))
    scores[1, 3] = bad
    with pytest.raises(NaicsGraphError, match="1 of 16 values are not finite"):
        retrieval_metrics(scores, np.array([0, 1]), lca_of_leaves())


def test_no_queries_is_an_error() -> None:
    with pytest.raises(NaicsGraphError, match="no query"):
        mean_ranks(np.zeros((0, 8)), np.zeros(0, dtype=np.int64))
