"""What every hybrid query must answer, computed in numpy from the taxonomy and the points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.search.world import World

Rows = list[dict[str, Any]]
Reference = Callable[..., Rows]


def nearest_under(world: World, *, code: str, within: str, limit: int) -> Rows:
    near = [other for other in world.leaves(within) if other != code]
    return [
        _row(world, other, code) | {"path": world.index.path(other)}
        for other in _by_distance(world, code, near)[:limit]
    ]


def exclusions_back(world: World, *, code: str, neighbours: int, limit: int) -> Rows:
    near = _by_distance(world, code, world.index.codes)[:neighbours]
    return _excluded(world, code, [(a, a, b) for a in near for b in [code]])[:limit]


def exclusions_of(world: World, *, code: str, limit: int) -> Rows:
    return _excluded(world, code, [(b, code, b) for b in world.index.codes])[:limit]


def closest_exclusions(world: World, *, limit: int) -> Rows:
    rows = [
        {
            "source": edge.source,
            "source_title": _title(world, edge.source),
            "target": edge.target,
            "target_title": _title(world, edge.target),
            "distance": world.between(edge.source, edge.target),
            "exclusion": edge.text,
        }
        for edge in world.taxonomy.exclusions
    ]
    return sorted(rows, key=lambda row: (row["distance"], row["source"]))[:limit]


def siblings(world: World, *, code: str, limit: int) -> Rows:
    parent = world.index.by_code[code].parent
    assert parent is not None
    children = world.index.children[parent]
    return [_row(world, other, code) for other in _by_distance(world, code, children)[:limit]]


def near_but_outside(world: World, *, within: str, limit: int) -> Rows:
    inside = world.leaves(within)
    outside = [c for c in world.index.codes if len(c) == 6 and c not in inside]
    found = sorted((world.between(a, b), a, b) for a in inside for b in outside)
    return [
        {
            "code": a,
            "title": _title(world, a),
            "near_code": b,
            "near_title": _title(world, b),
            "distance": distance,
        }
        for distance, a, b in found[:limit]
    ]


def sector_confusions(world: World, *, closest: int, limit: int) -> Rows:
    leaves = sorted(code for code in world.index.codes if len(code) == 6)
    sector = {code: world.index.path(code)[0] for code in leaves}
    pairs = sorted(
        (world.between(a, b), a, b)
        for i, a in enumerate(leaves)
        for b in leaves[i + 1 :]
        if sector[a] != sector[b]
    )
    found: dict[tuple[str, str], list[float]] = {}
    for distance, a, b in pairs[:closest]:
        found.setdefault((sector[a], sector[b]), []).append(distance)
    rows: Rows = [
        {
            "sector": one,
            "sector_title": _title(world, one),
            "other": other,
            "other_title": _title(world, other),
            "pairs": len(distances),
            "min_distance": min(distances),
        }
        for (one, other), distances in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["pairs"], row["min_distance"]))[:limit]


def reclassify(world: World, *, level: int, far: int, limit: int) -> Rows:
    codes = sorted(i.code for i in world.taxonomy.industries if i.level == level)
    apart = {
        (a, b): int(world.tree.distance[world.index.position[a], world.index.position[b]])
        for i, a in enumerate(codes)
        for b in codes[i + 1 :]
    }
    found = sorted((world.between(*pair), *pair) for pair, edges in apart.items() if edges >= far)
    return [
        {
            "code": a,
            "title": _title(world, a),
            "parent": world.index.by_code[a].parent,
            "parent_title": _parent_title(world, a),
            "near_code": b,
            "near_title": _title(world, b),
            "near_parent": world.index.by_code[b].parent,
            "near_parent_title": _parent_title(world, b),
            "distance": distance,
            "tree_distance": apart[a, b],
        }
        for distance, a, b in found[:limit]
    ]


def entries_of_neighbours(world: World, *, code: str, entries: int, limit: int) -> Rows:
    near = _by_distance(world, code, [c for c in world.index.codes if len(c) == 6])[:limit]
    texts: dict[str, list[str]] = {}
    for entry in world.taxonomy.entries:
        if not entry.evaluated:
            texts.setdefault(entry.code, []).append(entry.text)
    return [
        _row(world, other, code) | {"entries": sorted(texts[other])[:entries]} for other in near
    ]


def radius_outliers(world: World, *, limit: int) -> Rows:
    levels = np.array([len(code.split("-")[0]) for code in world.index.codes])
    rows: Rows = []
    for i, code in enumerate(world.index.codes):
        peers = world.radius[levels == levels[i]]
        rows.append(
            {
                "code": code,
                "title": _title(world, code),
                "level": int(levels[i]),
                "radius": float(world.radius[i]),
                "mean": float(peers.mean()),
                "deviations": float((world.radius[i] - peers.mean()) / peers.std()),
            }
        )
    return sorted(rows, key=lambda row: -abs(row["deviations"]))[:limit]


def moved_most(world: World, *, limit: int) -> Rows:
    moved = dict(zip(world.index.codes, world.moved.tolist(), strict=True))
    exclusions = [{edge.source, edge.target} for edge in world.taxonomy.exclusions]
    rows: Rows = []
    for code in sorted(moved, key=lambda c: (-moved[c], c)):
        parent = world.index.by_code[code].parent
        row = {
            "code": code,
            "title": _title(world, code),
            "level": world.index.by_code[code].level,
            "moved": moved[code],
            "parent": parent,
            "parent_moved": None if parent is None else moved[parent],
            "entries": sum(e.code == code and not e.evaluated for e in world.taxonomy.entries),
            "exclusions": len(set().union(*(ends for ends in exclusions if code in ends)) - {code}),
        }
        rows += [row] * (moved[code] > 0)
    return rows[:limit]


def subtree_spread(world: World, *, level: int, limit: int) -> Rows:
    rows: Rows = []
    for code in world.index.codes:
        if world.index.by_code[code].level == level:
            distances = [world.between(code, leaf) for leaf in world.leaves(code)]
            rows.append(
                {
                    "code": code,
                    "title": _title(world, code),
                    "leaves": len(distances),
                    "mean_distance": float(np.mean(distances)),
                    "max_distance": max(distances),
                }
            )
    return sorted(rows, key=lambda row: -row["mean_distance"])[:limit]


def candidate_parents(world: World, *, code: str, limit: int) -> Rows:
    level = world.index.by_code[code].level - 1
    above = [c for c in world.index.codes if world.index.by_code[c].level == level]
    parent = world.index.by_code[code].parent
    return [
        _row(world, other, code) | {"is_parent": other == parent}
        for other in _by_distance(world, code, above)[:limit]
    ]


def between(world: World, *, code: str, other: str, level: int, limit: int) -> Rows:
    """The midpoint by the Lorentz centroid, distances from it in polar form."""
    import torch

    from naics_graph.geometry import lorentz

    points = torch.from_numpy(world.points)
    ends = points[[world.index.position[code], world.index.position[other]]]
    middle = lorentz.centroid(ends, torch.ones(2, dtype=torch.float64), world.curvature)
    distances = lorentz.pairwise_distance(middle[None], points, world.curvature)[0].tolist()
    rows = [
        {
            "code": c,
            "title": _title(world, c),
            "distance": distances[i],
            "from_code": world.between(c, code),
            "from_other": world.between(c, other),
        }
        for i, c in enumerate(world.index.codes)
        if world.index.by_code[c].level == level and c not in (code, other)
    ]
    return sorted(rows, key=lambda row: row["distance"])[:limit]


def general_neighbours(world: World, *, code: str, neighbours: int, limit: int) -> Rows:
    above = world.index.ancestors(code)
    near = _by_distance(world, code, [c for c in world.index.codes if c not in above])[:neighbours]
    rows = [
        _row(world, c, code)
        | {
            "level": world.index.by_code[c].level,
            "radius": float(world.radius[world.index.position[c]]),
        }
        for c in near
    ]
    return sorted(rows, key=lambda row: row["radius"])[:limit]


REFERENCES: dict[str, Reference] = {
    reference.__name__: reference
    for reference in (
        nearest_under,
        exclusions_back,
        exclusions_of,
        closest_exclusions,
        siblings,
        near_but_outside,
        sector_confusions,
        reclassify,
        entries_of_neighbours,
        radius_outliers,
        moved_most,
        subtree_spread,
        candidate_parents,
        between,
        general_neighbours,
    )
}


def _title(world: World, code: str) -> str:
    return world.index.by_code[code].title


def _parent_title(world: World, code: str) -> str | None:
    parent = world.index.by_code[code].parent
    return None if parent is None else _title(world, parent)


def _row(world: World, code: str, origin: str) -> dict[str, Any]:
    return {
        "code": code,
        "title": _title(world, code),
        "distance": world.between(code, origin),
    }


def _by_distance(world: World, origin: str, codes: Sequence[str]) -> list[str]:
    return sorted((c for c in codes if c != origin), key=lambda c: (world.between(origin, c), c))


def _excluded(world: World, origin: str, wanted: list[tuple[str, str, str]]) -> Rows:
    texts = {(e.source, e.target): e.text for e in world.taxonomy.exclusions}
    rows = [
        _row(world, shown, origin) | {"exclusion": texts[source, target]}
        for shown, source, target in wanted
        if (source, target) in texts
    ]
    return sorted(rows, key=lambda row: row["distance"])
