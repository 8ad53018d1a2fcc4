"""The draw of neighbours: a seeded hash of edges that numpy and both Cypher dialects can compute.

The edge from the node at place s to the listener at place t has the key

    x = (s + r t) mod p,  h = ((c₃ x + c₂) x + c₁) x + c₀ mod p,  key = h 2³² + s,  p = 2³¹ − 1

and a listener keeps the edges with the smallest keys. A polynomial of degree 3 with random
coefficients is 4-wise independent over distinct x (Wegman and Carter 1981), and the x of one
listener are distinct; one of degree 1 would draw neighbours with consecutive places in steps. No
product reaches 2⁶³. The formula stands again in `cypher/neo4j/sample_*` and
`cypher/ladybug/sample_*`.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PRIME: Final = 2**31 - 1
SHIFT: Final = 32


class Polynomial(NamedTuple):
    """The coefficients of one batch and relation, each in [0, PRIME); names as in the queries."""

    r: int
    c0: int
    c1: int
    c2: int
    c3: int


def polynomial(seed: int, batch: Ints, relation: str) -> Polynomial:
    """The coefficients a seed gives a relation in the batch with these input ids."""
    words = (seed, zlib.crc32(np.ascontiguousarray(batch).tobytes()), zlib.crc32(relation.encode()))
    state = np.random.SeedSequence(words).generate_state(5, np.uint64)
    return Polynomial(*(int(word) % PRIME for word in state))


def edge_keys(source: Ints, target: Ints, draw: Polynomial) -> Ints:
    """(e,) keys of edges between places, in [0, 2⁶³): distinct for every listener.

    Args:
        source: (e,) places of the speakers, in [0, 2³¹).
        target: (e,) places of the listeners, in [0, 2³¹).
        draw: the coefficients.
    """
    x = (source + draw.r * target) % PRIME
    h = (((draw.c3 * x + draw.c2) % PRIME * x + draw.c1) % PRIME * x + draw.c0) % PRIME
    keys: Ints = (h << SHIFT) + source
    return keys


def smallest(run: Ints, key: Ints, count: int) -> Ints:
    """Indices, ascending, of the `count` smallest keys of every run.

    Args:
        run: (e,) ascending numbers of the runs.
        key: (e,) keys.
        count: 0 or more.
    """
    rank = ranks(run)
    order = np.lexsort((key, np.cumsum(rank == 0)))
    return np.sort(order[rank < count])


def ranks(run: Ints) -> Ints:
    """(e,) 0, 1, 2 ... within every run of equal values."""
    if not len(run):
        return np.empty(0, dtype=np.int64)
    first = np.flatnonzero(np.r_[True, run[1:] != run[:-1]])
    return np.arange(len(run)) - np.repeat(first, np.diff(np.r_[first, len(run)]))
