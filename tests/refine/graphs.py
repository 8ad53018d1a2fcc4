"""Small graphs by hand, and an in-memory reference sampler in plain loops."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.geometry import lorentz
from naics_graph.refine.draw import Polynomial
from naics_graph.refine.graph import (
    CLASSIFIED_AS,
    ENTRY,
    EXCLUDES,
    HAS_CHILD,
    INDUSTRY,
    relations,
)
from naics_graph.refine.network import RELATIONS, HGCNConfig, RefineNetwork
from naics_graph.refine.pyg import FeatureStore, TensorAttr
from naics_graph.store.contract import GraphExport, Relation
from naics_graph.taxonomy.model import Exclusion, IndexEntry, Industry, Role, Taxonomy
from naics_graph.taxonomy.tree import Tree

Edge = tuple[Relation, int, int]


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


def wide_taxonomy(seed: int = 0) -> Taxonomy:
    """A taxonomy to load: 92 codes, entries in no order of keys, thirty under the first leaf, every
    fifth evaluated; exclusions of which some come twice.
    """
    codes = small_tree((2, 3, 2, 2, 2)).codes
    draw = np.random.default_rng(seed)
    leaves = [code for code in codes if len(code) == 6][:-1]
    places = [leaves[0]] * 30 + [leaves[int(i)] for i in draw.integers(1, len(leaves), 170)]
    entries = tuple(
        IndexEntry(
            f"2022:entry:{number:03d}",
            f"Phrase {number}",
            places[number],
            role=Role.VALIDATION if number % 5 == 4 else Role.TRAINING,
        )
        for number in draw.permutation(len(places)).tolist()
    )
    pairs = [(codes[a], codes[b]) for a, b in draw.integers(0, len(codes), (60, 2)) if a != b]
    exclusions = tuple(
        Exclusion(a, b, f"Clause {i}--see {b}.", f"Clause {i}")
        for i, (a, b) in enumerate(pairs + pairs[:9])
    )
    texts: dict[str, list[str]] = {}
    for exclusion in exclusions:
        texts.setdefault(exclusion.source, []).append(exclusion.text)
    industries = tuple(
        Industry(c, f"Industry {c}", parent_of(c), excluded=tuple(texts.get(c, ()))) for c in codes
    )
    return Taxonomy("2022", industries, exclusions, entries)


def parent_of(code: str) -> str | None:
    return code[:-1] if len(code) > 2 else None


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


def network(c: float, layers: int, *, dim: int = 4, opened: bool = True) -> RefineNetwork:
    """Listens to every relation; `opened`: with gates and sharpness above 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = RefineNetwork(HGCNConfig(layers=layers, relations=RELATIONS), dim, c).eval()
        if opened:
            with torch.no_grad():
                for name, parameter in made.named_parameters():
                    if name.endswith(("gate", "sharpness")):
                        parameter.uniform_(0.3, 0.9)
    return made


def check_reading(features: FeatureStore, group: str, name: str, wanted: Tensor) -> None:
    """What PyG's own suite asks of a feature store that is read: indices, slices, views."""
    rows = torch.tensor([2, 0, 1])
    attr = TensorAttr(group, name, rows)
    assert features.get_tensor_size(group_name=group, attr_name=name) == wanted.shape
    assert torch.equal(features.get_tensor(attr), wanted[rows])
    for index in (torch.tensor([2, 0, 2]), torch.tensor([], dtype=torch.int64), slice(1, 3)):
        assert torch.equal(features.get_tensor(group, name, index), wanted[index])
    for found in (
        features[group, name, :],
        features[group, name, None],
        features[group][name][:],
        getattr(features[group], name)[:],
        getattr(getattr(features.view(), group), name)[:],
    ):
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)
    assert features[group] == features.view(TensorAttr(group_name=group))
    assert features.view(group_name=group, attr_name=name) == getattr(features[group], name)
    with pytest.raises(AttributeError):
        _ = getattr(features.view(group_name=group, index=None), name).y
    several = features.multi_get_tensor([attr, TensorAttr(group, name, rows[:1])])
    assert [len(t) for t in several] == [3, 1]
    assert (group, name) in {(a.group_name, a.attr_name) for a in features.get_all_tensor_attrs()}
    with pytest.raises(KeyError):
        features.get_tensor(group, "unknown", None)


def sampled(
    graph: GraphExport,
    seed_type: str,
    seeds: Sequence[int],
    fan_out: Sequence[int],
    draws: Mapping[str, Polynomial],
    hidden: Container[Edge] = (),
) -> tuple[dict[str, list[int]], dict[Relation, list[tuple[int, int]]]]:
    """Nodes by type and edges by relation that a sampler must draw, in order: plain loops over
    Python's integers.
    """
    place = {INDUSTRY: graph.code_place.tolist(), ENTRY: graph.entry_place.tolist()}
    edges = {r: pairs.T.tolist() for r, pairs in relations(graph).items()}
    nodes: dict[str, list[int]] = {INDUSTRY: [], ENTRY: []}
    nodes[seed_type] += dict.fromkeys(seeds)
    found: dict[Relation, list[tuple[int, int]]] = {relation: [] for relation in edges}
    frontier = {t: list(known) for t, known in nodes.items()}
    for count in fan_out:
        heard: dict[str, set[int]] = {INDUSTRY: set(), ENTRY: set()}
        for (speaker, name, listener), pairs in edges.items():
            relation = (speaker, name, listener)
            for t in frontier[listener]:
                keyed = []
                for s, to in pairs:
                    if to == t and (relation, s, t) not in hidden:
                        keyed.append(
                            (key_of(place[speaker][s], place[listener][t], draws[name]), s)
                        )
                kept = sorted(keyed)[: len(keyed) if count < 0 else count]
                chosen = sorted((s for _, s in kept), key=place[speaker].__getitem__)
                found[relation] += [(s, t) for s in chosen]
                heard[speaker] |= set(chosen)
        for node_type, new in heard.items():
            frontier[node_type] = sorted(new - set(nodes[node_type]))
            nodes[node_type] += frontier[node_type]
    return nodes, found


def key_of(s: int, t: int, by: Polynomial) -> tuple[int, int]:
    """What the draw orders edges by: a cubic of the edge over the field of 2^31 - 1, then place."""
    x = s + by.r * t
    return ((by.c3 * x**3 + by.c2 * x**2 + by.c1 * x + by.c0) % (2**31 - 1), s)


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
