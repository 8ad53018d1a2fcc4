"""The tree metric: path length in the taxonomy with a virtual root above the sectors.

Two sectors are 2 apart. This is the only quantity here called tree distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from naics_graph.taxonomy.model import Taxonomy


@dataclass(frozen=True)
class Tree:
    """The hierarchy as arrays over codes in taxonomy order.

    parent: (n,) position of the parent, -1 for a sector. ancestors: (n, 5) position of the ancestor
    at depth 1-5 (column depth - 1), the code itself at its own depth, -1 below it.
    """

    codes: tuple[str, ...]
    parent: NDArray[np.int64]
    ancestors: NDArray[np.int64]

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> Tree:
        """Build from a taxonomy, whose parents come before their children."""
        codes = tuple(industry.code for industry in taxonomy.industries)
        position = {code: i for i, code in enumerate(codes)}
        parent = np.full(len(codes), -1, dtype=np.int64)
        ancestors = np.full((len(codes), 5), -1, dtype=np.int64)
        for i, industry in enumerate(taxonomy.industries):
            if industry.parent is not None:
                parent[i] = position[industry.parent]
                ancestors[i] = ancestors[parent[i]]
            ancestors[i, industry.depth - 1] = i
        return cls(codes, parent, ancestors)

    @cached_property
    def position(self) -> dict[str, int]:
        """Position of every code."""
        return {code: i for i, code in enumerate(self.codes)}

    @cached_property
    def depth(self) -> NDArray[np.int64]:
        """(n,) depth, 1-5."""
        return np.asarray((self.ancestors >= 0).sum(axis=1), dtype=np.int64)

    @cached_property
    def lca_depth(self) -> NDArray[np.int64]:
        """(n, n) depth of the lowest common ancestor, 0 (the virtual root) to 5."""
        n = len(self.codes)
        result = np.zeros((n, n), dtype=np.int64)
        for column in self.ancestors.T:
            result += (column[:, None] == column[None, :]) & (column >= 0)[:, None]
        return result

    @cached_property
    def distance(self) -> NDArray[np.int64]:
        """(n, n) path length in edges, 0-10."""
        return self.depth[:, None] + self.depth[None, :] - 2 * self.lca_depth
