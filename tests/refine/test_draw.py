"""The draw: its formula in exact arithmetic, and that it is as good as independent draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from naics_graph.refine.draw import PRIME, Ints, Polynomial, edge_keys, polynomial, smallest
from tests.refine.graphs import key_of


def draw_of(seed: int) -> Polynomial:
    return polynomial(seed, np.arange(8), "has_child")


@pytest.mark.parametrize(
    "by", [draw_of(3), Polynomial(*[PRIME - 1] * 5), Polynomial(0, 0, 1, 0, 0)]
)
def test_keys_are_the_polynomial_in_exact_arithmetic(by: Polynomial) -> None:
    draw = np.random.default_rng(0)
    top = 2**31 - 1
    source = np.concatenate([draw.integers(0, top, 50), [0, top, top]])
    target = np.concatenate([draw.integers(0, top, 50), [0, top, 1]])
    expected = [key_of(s, t, by) for s, t in zip(source.tolist(), target.tolist(), strict=True)]
    keys = edge_keys(source, target, by)
    assert [(key >> 32, key & (2**32 - 1)) for key in keys.tolist()] == expected


def test_seed_batch_and_relation_decide_the_coefficients() -> None:
    ids = np.arange(5)
    first = polynomial(1, ids, "has_child")
    assert first == polynomial(1, ids.copy(), "has_child")
    others = {
        polynomial(2, ids, "has_child"),
        polynomial(1, ids + 1, "has_child"),
        polynomial(1, ids, "rev_has_child"),
    }
    assert len(others | {first}) == 4


def test_the_smallest_of_every_run() -> None:
    draw = np.random.default_rng(0)
    run = np.repeat(np.arange(5), [3, 1, 7, 2, 4])
    key = draw.permutation(len(run))
    for count in range(8):
        expected: list[int] = []
        for number in range(5):
            inside = np.flatnonzero(run == number)
            expected += sorted(inside[np.argsort(key[inside])][:count].tolist())
        assert smallest(run, key, count).tolist() == expected
    assert smallest(run[:0], key[:0], 3).tolist() == []


@pytest.mark.parametrize("spacing", [1, 2, 1000])
def test_draws_are_uniform_and_so_are_pairs(spacing: int) -> None:
    """2,000 draws of 3 of 7 neighbours with evenly spaced places.

    Each neighbour is drawn 857 times, standard deviation 22; each pair, were the draws
    independent of each other, 286 times, standard deviation 16; first and second of two listeners
    meet in 367 draws, standard deviation 17.
    """
    source = np.arange(7) * spacing + 11
    drawn, other = (np.stack([chosen(source, t, seed) for seed in range(2000)]) for t in (5, 6))
    assert np.abs(drawn.sum(axis=0) - 857).max() < 90
    for a, b in itertools.combinations(range(7), 2):
        assert abs((drawn[:, a] & drawn[:, b]).sum() - 286) < 66
    meet = np.einsum("sa,sb->ab", drawn.astype(int), other.astype(int))
    assert np.abs(meet - 367).max() < 72


def chosen(source: Ints, target: int, seed: int) -> np.ndarray:
    """(7,) bool of the neighbours a listener draws."""
    keys = edge_keys(source, np.full_like(source, target), draw_of(seed))
    mask = np.zeros(len(source), dtype=np.bool_)
    mask[smallest(np.zeros_like(source), keys, 3)] = True
    return mask
