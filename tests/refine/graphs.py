"""Small graphs by hand, and an in-memory reference sampler in plain loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.geometry import lorentz
from naics_graph.refine.graph import CLASSIFIED_AS, ENTRY, EXCLUDES, HAS_CHILD, INDUSTRY
from naics_graph.store.contract import GraphExport, Relation
from naics_graph.taxonomy.model import Industry, Taxonomy
from naics_graph.taxonomy.tree import Tree


def small_tree(branching: Sequence[int] = (2, 2, 2, 2, 2)) -> Tree:
    """A full tree: `branching[k]` children at depth k, codes 11, 111, 1111 ..."""
    above = [""]
    industries: list[Industry] = []
    for depth, count in enumerate(branching):
        below = []
        for parent in above:
            for digit in range(1, count + 1):
                code = f"{digit}{digit}" if depth == 0 else f"{parent}{digit}"
                industries.append(Industry(code, f"Industry {code}", parent or None))
                below.append(code)
        above = below
    industries.sort(key=lambda industry: industry.code)
    return Tree.of(Taxonomy("2022", tuple(industries)))


def small_graph(
    tree: Tree, entries_per_leaf: int = 3, exclusions: int = 20, seed: int = 0
) -> GraphExport:
    """Entries under every six-digit code but the last, which has none, and random exclusions."""
    child = np.flatnonzero(tree.parent >= 0)
    leaves = np.flatnonzero(tree.depth == 5)[:-1]
    listener = np.repeat(leaves, entries_per_leaf)
    pairs = np.random.default_rng(seed).integers(0, len(tree.codes), (2, exclusions))
    return GraphExport(
        vintage="2022",
        version="1",
        codes=tree.codes,
        entries=tuple(f"2022:entry:{i:05d}" for i in range(len(listener))),
        code_place=shuffled(len(tree.codes), seed),
        entry_place=shuffled(len(listener), seed),
        edges={
            HAS_CHILD: np.stack([tree.parent[child], child]),
            EXCLUDES: np.unique(pairs[:, pairs[0] != pairs[1]], axis=1),
            CLASSIFIED_AS: np.stack([np.arange(len(listener)), listener]),
        },
    )


def shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """Distinct places with gaps, in an order of their own, as a database may have them."""
    return np.random.default_rng(seed).permutation(2 * count)[:count].astype(np.int64)


def random_points(
    count: int, dim: int, curvature: float, *, radius: float = 2.0, seed: int = 0
) -> Tensor:
    """(count, dim + 1) points with radii up to `radius`."""
    generator = torch.Generator().manual_seed(seed)
    tangent = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    lengths = radius * torch.rand(count, 1, generator=generator, dtype=torch.float64)
    return lorentz.expmap0(lengths * torch.nn.functional.normalize(tangent, dim=1), curvature)


def graph_points(
    graph: GraphExport, dim: int, curvature: float, seed: int = 0
) -> dict[str, Tensor]:
    """Random points of all nodes by type."""
    return {
        INDUSTRY: random_points(len(graph.codes), dim, curvature, seed=seed),
        ENTRY: random_points(len(graph.entries), dim, curvature, seed=seed + 1),
    }


def reachable(
    edges: Mapping[Relation, Tensor], seeds: set[int], hops: int
) -> tuple[set[tuple[str, int]], set[tuple[Relation, int, int]]]:
    """All nodes heard within `hops` of industry seeds, and all edges into those before the last."""
    nodes = {(INDUSTRY, seed) for seed in seeds}
    found: set[tuple[Relation, int, int]] = set()
    frontier = set(nodes)
    for _ in range(hops):
        heard = set()
        for relation, pairs in edges.items():
            for source, target in pairs.T.tolist():
                if (relation[2], target) in frontier:
                    found.add((relation, source, target))
                    heard.add((relation[0], source))
        frontier = heard - nodes
        nodes |= heard
    return nodes, found
