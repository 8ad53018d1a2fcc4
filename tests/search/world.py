"""A small world for questions: a synthetic taxonomy, random points, and references in numpy.

Three sectors, every kind of branching, a second vintage of the same codes in another space: a query
that forgets its vintage answers with the wrong points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph.geometry import lorentz
from naics_graph.store.contract import EmbeddingRows, EmbeddingSetInfo
from naics_graph.taxonomy.model import (
    Exclusion,
    IndexEntry,
    Industry,
    Role,
    Taxonomy,
    TaxonomyIndex,
)
from naics_graph.taxonomy.tree import Tree

SECTORS = ("11", "44-45", "54")
DIMS = 4
CODE = "111112"
"""A code whose exclusions run both ways."""
TWINS = ("111120", "111200", "112000", "441120", "442120", "451200", "452000", "541120", "541200")
"""Six-digit codes that are the only child of their parent, and stand where it stands."""


@dataclass(frozen=True)
class World:
    """One vintage with the points published for it, in taxonomy order."""

    taxonomy: Taxonomy
    points: NDArray[np.float64]
    moved: NDArray[np.float64]
    curvature: float
    set_id: str
    model_sha256: str = "0" * 64

    @cached_property
    def index(self) -> TaxonomyIndex:
        return TaxonomyIndex(self.taxonomy)

    @cached_property
    def tree(self) -> Tree:
        return Tree.of(self.taxonomy)

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """(n, n) geodesic distances, in polar form."""
        points = torch.from_numpy(self.points)
        result: NDArray[np.float64] = lorentz.pairwise_distance(
            points, points, self.curvature
        ).numpy()
        # The same both ways to the last digit, as a database has it: a pair is then a tie.
        return np.minimum(result, result.T)

    @cached_property
    def radius(self) -> NDArray[np.float64]:
        """(n,) distances from the origin."""
        result: NDArray[np.float64] = lorentz.radius(
            torch.from_numpy(self.points), self.curvature
        ).numpy()
        return result

    def between(self, a: str, b: str) -> float:
        """Distance of two codes."""
        return float(self.distance[self.index.position[a], self.index.position[b]])

    def leaves(self, code: str) -> list[str]:
        """The six-digit codes below (and including) a code."""
        return [
            other
            for other in self.index.codes
            if len(other) == 6 and code in self.index.path(other)
        ]

    @property
    def info(self) -> EmbeddingSetInfo:
        return EmbeddingSetInfo(
            id=self.set_id,
            vintage=self.taxonomy.vintage,
            created="2026-01-01T00:00:00+00:00",
            dims=DIMS,
            curvature=self.curvature,
            model_sha256=self.model_sha256,
            data_sha256="1" * 64,
            metrics={"mrr": 0.5},
        )

    @property
    def rows(self) -> EmbeddingRows:
        points = torch.from_numpy(self.points)
        return EmbeddingRows(
            codes=self.index.codes,
            embedding=self.points,
            radius=self.radius,
            poincare=lorentz.to_poincare(points, self.curvature)[:, :2].numpy(),
            knn=lorentz.knn_vectors(points).numpy(),
            moved=self.moved,
        )


def make_world(vintage: str, *, seed: int, curvature: float) -> World:
    """A vintage whose codes, texts and exclusions depend on nothing but the arguments."""
    random = np.random.default_rng(seed)
    industries = _industries()
    codes = [industry.code for industry in industries]
    leaves = [code for code in codes if len(code) == 6]
    pairs = {
        (str(a), str(b))
        for a, b in random.choice(codes, size=(80, 2))
        if a != b and not _related(str(a), str(b))
    } | {(CODE, "451120"), (CODE, "54"), ("442211", CODE), ("541120", CODE), ("4412", CODE)}
    exclusions = tuple(
        Exclusion(a, b, f"Doing {b} is classified in Industry {b}", f"Doing {b}")
        for a, b in sorted(pairs)
    )
    roles = (Role.TRAINING, Role.VALIDATION, Role.EXAMPLES, Role.TRAINING)
    entries = tuple(
        IndexEntry(f"{vintage}:census:{4 * i + j}", f"Trade {letter} of {code}", code, role=role)
        for i, code in enumerate(leaves)
        for j, (letter, role) in enumerate(zip("dabc", roles, strict=True))
    )
    tangents = random.normal(size=(len(codes), DIMS)) * random.uniform(0.2, 1.2, (len(codes), 1))
    for i, code in enumerate(codes):
        if code in TWINS:
            # One industry at two levels: equal texts have equal points.
            tangents[i] = tangents[codes.index(code[:-1])]
    points = lorentz.expmap0(torch.from_numpy(tangents), curvature).numpy()
    # One digit: some codes stayed, others moved equally far. A sector moved farthest.
    moved = np.round(random.exponential(0.3, len(codes)), 1)
    moved[codes.index(SECTORS[1])] = 3.0
    taxonomy = Taxonomy(vintage, industries, exclusions, entries)
    return World(taxonomy, points, moved, curvature, f"set-{vintage}")


def _related(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)


def _industries() -> tuple[Industry, ...]:
    found: list[Industry] = []

    def grow(code: str, parent: str | None) -> None:
        examples = (f"Example of {code}",) if len(code) == 6 else ()
        found.append(Industry(code, f"Title {code}", parent, f"Text of {code}", examples))
        if code in SECTORS:
            stems = [code.split("-")[0]] if "-" not in code else ["44", "45"]
            children = [stem + digit for stem in stems for digit in "12"]
        elif len(code) < 6:
            # Every fourth code has one child: the twins of NAICS.
            digits = "0" if int(code) % 4 == 0 else "12"
            children = [code + digit for digit in digits]
        else:
            children = []
        for child in children:
            grow(child, code)

    for sector in SECTORS:
        grow(sector, None)
    return tuple(found)
