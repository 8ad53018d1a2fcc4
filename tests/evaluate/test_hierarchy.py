"""Tree figures against naive loops, scipy, scikit-learn and networkx."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score

from naics_graph.errors import NaicsGraphError
from naics_graph.evaluate.hierarchy import (
    edge_average_precision,
    parent_hits,
    tree_metrics,
)
from naics_graph.taxonomy.bundled.edition import read_bundled
from naics_graph.taxonomy.tree import Tree
from tests.evaluate.small import small_taxonomy

TREE = Tree.of(small_taxonomy())


def noisy(seed: int, noise: float = 3.0) -> NDArray[np.float64]:
    """Symmetric distances without ties around the tree's."""
    drawn = np.random.default_rng(seed).random((len(TREE.codes),) * 2) * noise
    result: NDArray[np.float64] = TREE.distance + drawn + drawn.T
    np.fill_diagonal(result, 0.0)
    return result


def pairs(values: NDArray[np.number]) -> list[float]:
    """The upper triangle, by loops."""
    n = len(values)
    return [float(values[i, j]) for i, j in itertools.combinations(range(n), 2)]


def test_the_tree_metric_itself_is_perfect() -> None:
    found = tree_metrics(TREE.distance.astype(np.float64), TREE)
    assert (found.parent_at_1, found.edge_map) == (1.0, 1.0)
    assert (found.pearson, found.spearman) == pytest.approx((1.0, 1.0))
    assert found.distortion == pytest.approx(0.0, abs=1e-14)
    scaled = tree_metrics(TREE.distance * 0.37, TREE)
    assert scaled.distortion == pytest.approx(0.0, abs=1e-14)


def test_the_tree_metric_is_the_shortest_path_of_networkx() -> None:
    graph = nx.Graph(
        (code, "root" if parent < 0 else TREE.codes[parent])
        for code, parent in zip(TREE.codes, TREE.parent.tolist(), strict=True)
    )
    lengths = dict(nx.all_pairs_shortest_path_length(graph))
    wanted = [[lengths[a][b] for b in TREE.codes] for a in TREE.codes]
    assert TREE.distance.tolist() == wanted


@pytest.mark.parametrize("seed", range(3))
def test_correlations_and_distortion_match_scipy_and_loops(seed: int) -> None:
    distance = noisy(seed)
    found = tree_metrics(distance, TREE)
    d, t = pairs(distance), pairs(TREE.distance)
    assert found.pearson == pytest.approx(pearsonr(d, t).statistic)
    assert found.spearman == pytest.approx(spearmanr(d, t).statistic)
    ratios = [a / b for a, b in zip(d, t, strict=True)]
    scale = sum(ratios) / sum(r * r for r in ratios)
    errors = [abs(scale * a - b) / b for a, b in zip(d, t, strict=True)]
    assert found.distortion == pytest.approx(sum(errors) / len(errors))


def test_the_ceiling_is_what_the_best_order_without_ties_reaches() -> None:
    t = np.array(pairs(TREE.distance))
    untied = t + np.random.default_rng(0).random(len(t)) * 1e-6
    ceiling = tree_metrics(noisy(0), TREE).spearman_ceiling
    assert ceiling == pytest.approx(spearmanr(untied, t).statistic)
    assert ceiling < 1


def test_the_ceiling_of_naics_2022() -> None:
    tree = Tree.of(read_bundled("2022"))
    found = tree_metrics(tree.distance.astype(np.float64), tree)
    assert found.spearman_ceiling == pytest.approx(0.977, abs=5e-4)
    assert (found.edge_map, found.parent_at_1) == (1.0, 1.0)
    assert len(parent_hits(tree.distance.astype(np.float64), tree)) == 2105


@pytest.mark.parametrize("seed", range(3))
def test_parents_match_a_loop(seed: int) -> None:
    distance = noisy(seed, 6.0)
    hits = []
    for depth, child in sorted((int(d), i) for i, d in enumerate(TREE.depth) if d > 1):
        above = [j for j, d in enumerate(TREE.depth) if d == depth - 1]
        nearest = min(above, key=lambda j: distance[child, j])
        hits.append(nearest == TREE.parent[child])
    assert parent_hits(distance, TREE).tolist() == hits
    assert 0 < np.mean(hits) < 1


def test_a_parent_tied_with_another_is_not_found() -> None:
    assert not parent_hits(np.ones(TREE.distance.shape), TREE)[2:].any()


@pytest.mark.parametrize("seed", range(3))
def test_edge_precision_matches_scikit_learn(seed: int) -> None:
    distance = noisy(seed)
    expected = []
    for i in range(len(TREE.codes)):
        others = [j for j in range(len(TREE.codes)) if j != i]
        linked = [TREE.parent[i] == j or TREE.parent[j] == i for j in others]
        expected.append(average_precision_score(linked, -distance[i, others]))
    assert edge_average_precision(distance, TREE) == pytest.approx(np.array(expected))


def test_edge_precision_of_all_alike_is_that_of_chance() -> None:
    """All n - 1 others tied: k relevant at mean rank n/2, of which (k + 1)/2 are expected there."""
    n = len(TREE.codes)
    links = [int((TREE.parent == i).sum() + (TREE.parent[i] >= 0)) for i in range(n)]
    found = edge_average_precision(np.ones((n, n)), TREE)
    assert found == pytest.approx([(k + 1) / n for k in links])


def test_all_distances_equal_order_nothing() -> None:
    found = tree_metrics(np.zeros_like(TREE.distance, dtype=np.float64), TREE)
    assert (found.pearson, found.spearman, found.distortion) == (0.0, 0.0, 1.0)


def test_a_distance_that_is_not_finite_is_refused() -> None:
    distance = noisy(0)
    distance[3, 4] = np.nan
    with pytest.raises(NaicsGraphError, match="not finite"):
        tree_metrics(distance, TREE)
