"""Strategies against plain searches over the same pool, and what they promise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from naics_graph.contrast.curriculum import HardPhase
from naics_graph.contrast.negatives import (
    STRATEGIES,
    Anchors,
    Negatives,
    NegativesConfig,
    Pool,
    Strategy,
    false_negatives,
)
from naics_graph.geometry import lorentz
from naics_graph.taxonomy.tree import Tree
from tests.contrast.test_training import small_taxonomy
from tests.geometry.reference import tangents

TREE = Tree.of(small_taxonomy())
N = len(TREE.codes)
LEVELS = [torch.tensor([i for i in range(N) if TREE.depth[i] == depth]) for depth in range(1, 6)]


def negatives(*strategies: Strategy, count: int = 2, eliminate: bool = False) -> Negatives:
    config = NegativesConfig(strategies=strategies, count=count, eliminate=eliminate, clusters=3)
    return Negatives(config, TREE)


def pool(chosen: Negatives, depth: int, seed: int = 0, rows: int = 6) -> Pool:
    """Anchors with random routing, distances and positives among the codes of a level."""
    g = torch.Generator().manual_seed(seed)
    candidates = LEVELS[depth - 1]
    positive = torch.randint(len(candidates), (rows,), generator=g)
    routing = torch.randn(rows + N, 4, generator=g).softmax(dim=1)
    anchors = chosen.anchors(routing[:rows], routing[rows:], candidates[positive], g)
    assert anchors is not None
    distance = 3.0 * torch.rand(rows, len(candidates), generator=g, dtype=torch.float64)
    return Pool(anchors, torch.arange(rows), candidates, positive, distance, chosen.tree)


def ask(chosen: Negatives, asked: Pool) -> Tensor:
    mask = chosen.allowed(
        asked.anchors, asked.rows, asked.candidates, asked.positive, asked.distance
    )
    assert mask is not None
    return mask


@pytest.mark.parametrize("strategy", list(STRATEGIES))
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_the_positive_is_never_a_negative(strategy: Strategy, depth: int) -> None:
    chosen = negatives(strategy, eliminate=True)
    chosen.recluster(lorentz.expmap0(tangents([1.0] * N, 3, 0), 1.0), 1.0, 0)
    asked = pool(chosen, depth)
    mask = ask(chosen, asked)
    assert mask.shape == asked.distance.shape
    assert not mask.gather(1, asked.positive[:, None]).any()


def test_all_chooses_nothing_and_draws_nothing() -> None:
    chosen = negatives("all")
    g = torch.Generator().manual_seed(3)
    before = g.get_state()
    routing = torch.full((N, 4), 0.25)
    assert chosen.everything
    assert chosen.anchors(routing, routing, torch.arange(N), g) is None
    assert (
        chosen.allowed(None, torch.arange(1), LEVELS[0], torch.tensor([0]), torch.ones(1, 2))
        is None
    )
    assert torch.equal(g.get_state(), before)
    assert not negatives("all", eliminate=True).everything


def test_hard_takes_the_nearest() -> None:
    chosen = negatives("hard")
    asked = pool(chosen, 5)
    mask = ask(chosen, asked)
    for row, positive in enumerate(asked.positive.tolist()):
        others = [j for j in range(mask.shape[1]) if j != positive]
        nearest = sorted(others, key=lambda j: float(asked.distance[row, j]))[:2]
        assert mask[row].nonzero().flatten().tolist() == sorted(nearest)


def entropy(p: Tensor) -> Tensor:
    terms: Tensor = torch.special.entr(p)
    return terms.sum(-1)


def test_router_takes_those_the_gate_confuses() -> None:
    chosen = negatives("router")
    asked = pool(chosen, 5)
    mask = ask(chosen, asked)
    for row, positive in enumerate(asked.positive.tolist()):
        p, q = asked.anchors.routing[row], asked.anchors.code_routing[asked.candidates]
        overlap = [float((p * q[j]).sqrt().sum()) for j in range(len(q))]
        overlap[positive] = -1.0
        most = sorted(range(len(q)), key=lambda j: -overlap[j])[:2]
        assert mask[row].nonzero().flatten().tolist() == sorted(most)


def test_the_overlap_bounds_the_jensen_shannon_divergence() -> None:
    g = torch.Generator().manual_seed(0)
    p, q = (3.0 * torch.randn(2, 500, 4, generator=g, dtype=torch.float64)).softmax(dim=-1)
    apart = 1.0 - (p * q).sqrt().sum(-1)
    divergence = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert (math.log(2) * apart <= divergence + 1e-12).all()
    assert (divergence <= apart + 1e-12).all()


def test_in_batch_takes_the_codes_that_label_the_batch_and_their_ancestors() -> None:
    chosen = negatives("in_batch")
    labels = [TREE.position[code] for code in ("111110", "112111", "112")]
    routing = torch.full((N, 4), 0.25)
    anchors = chosen.anchors(routing[:3], routing, torch.tensor(labels), torch.Generator())
    assert anchors is not None
    named = {TREE.codes[i] for i in anchors.named.nonzero().flatten().tolist()}
    assert named == {"11", "111", "1111", "11111", "111110", "112", "1121", "11211", "112111"}
    level = LEVELS[4]
    own = torch.tensor([[TREE.codes[i] for i in level.tolist()].index("111110")])
    mask = chosen.allowed(anchors, torch.tensor([0]), level, own, torch.ones(1, len(level)))
    assert mask is not None
    assert [TREE.codes[level[j]] for j in mask[0].nonzero().flatten().tolist()] == ["112111"]


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_tree_masks_the_siblings(depth: int) -> None:
    chosen = negatives("tree", count=N)
    asked = pool(chosen, depth)
    mask = ask(chosen, asked)
    parent = torch.from_numpy(TREE.parent)
    siblings = parent[asked.positive_code][:, None] == parent[asked.candidates]
    assert torch.equal(mask, ~siblings)


def test_sectors_are_no_siblings() -> None:
    chosen = negatives("tree", count=N)
    asked = pool(chosen, 1)
    assert torch.equal(ask(chosen, asked), ~asked.is_positive)


def test_tree_draws_by_tree_distance_without_replacement() -> None:
    chosen = negatives("tree", count=1)
    level = LEVELS[4]
    codes = [TREE.codes[i] for i in level.tolist()]
    positive = codes.index("111120")
    rows = 20_000
    routing = torch.full((rows, 4), 0.25)
    labels = level[positive].expand(rows)
    anchors = chosen.anchors(routing, routing[:N], labels, torch.Generator().manual_seed(0))
    distance = torch.ones(rows, len(level))

    def draw(count: int) -> Tensor:
        chosen.config = NegativesConfig(strategies=("tree",), count=count)
        column = torch.full((rows,), positive)
        mask = chosen.allowed(anchors, torch.arange(rows), level, column, distance)
        assert mask is not None
        return mask

    weight = torch.exp2(-torch.from_numpy(TREE.distance)[level[positive], level].double())
    weight[positive] = 0.0
    torch.testing.assert_close(
        draw(1).double().mean(dim=0), weight / weight.sum(), atol=0.015, rtol=0
    )
    assert (draw(3).sum(dim=1) == 3).all()


def test_tree_draws_follow_the_generator() -> None:
    chosen = negatives("tree", count=1)
    masks = [ask(chosen, pool(chosen, 5, seed=seed, rows=40)) for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_strategies_are_united() -> None:
    together = negatives("hard", "router", "tree", count=1)
    asked = pool(together, 5)
    each = [STRATEGIES[name](asked, 1) for name in together.config.strategies]
    assert torch.equal(ask(together, asked), each[0] | each[1] | each[2])
    assert not torch.equal(each[0], each[1])


def test_elimination_spares_mistakes_and_other_clusters() -> None:
    chosen = negatives("all", eliminate=True)
    level = LEVELS[4][:4]
    routing = torch.full((N, 4), 0.25)
    anchors = Anchors(routing[:1], routing, torch.ones(N, dtype=torch.bool), None)
    clusters = torch.arange(N) + 10
    clusters[level] = torch.tensor([1, 1, 1, 2])
    distance = torch.tensor([[1.0, 0.5, 2.0, 3.0]], dtype=torch.float64)
    asked = Pool(anchors, torch.tensor([0]), level, torch.tensor([0]), distance, chosen.tree)
    assert false_negatives(asked, clusters).tolist() == [[True, False, True, False]]
    chosen.clusters = clusters
    assert ask(chosen, asked).tolist() == [[False, True, False, True]]


def test_elimination_without_clusters_is_refused() -> None:
    chosen = negatives("all", eliminate=True)
    with pytest.raises(ValueError, match="recluster"):
        ask(chosen, pool(chosen, 5))


def test_clusters_follow_the_points() -> None:
    chosen = negatives("all", eliminate=True)
    tangent = tangents([3.0, 3.0, 3.0], 4, 1).repeat_interleave(6, dim=0)[:N]
    chosen.recluster(lorentz.expmap0(tangent, 2.0), 2.0, 0)
    assert chosen.clusters is not None
    assert len(set(chosen.clusters.tolist())) == 3
    assert len(set(chosen.clusters[:6].tolist())) == 1


@pytest.mark.parametrize("wrong", [{"strategies": ()}, {"count": 0}, {"clusters": 0}])
def test_a_choice_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="it must"):
        NegativesConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", [("hard", "all"), ("all", "tree", "router")])
@pytest.mark.parametrize("config", [NegativesConfig, HardPhase])
def test_all_beside_others_is_refused(
    config: type[NegativesConfig], beside: tuple[Strategy, ...]
) -> None:
    with pytest.raises(ValueError, match=r"strategies is .*, it must name `all` by itself"):
        config(strategies=beside)
