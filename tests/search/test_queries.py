"""Every hybrid query on both databases, against numpy."""

from __future__ import annotations

from typing import Any

import pytest

from naics_graph.search.catalogue import Value, hybrid_query, run_hybrid
from naics_graph.store.contract import GraphStore
from tests.search.reference import REFERENCES, reclassify
from tests.search.world import CODE, TWINS, World

PARAMETERS: dict[str, dict[str, Value]] = {
    "nearest_under": {"code": CODE, "within": "44-45", "limit": 7},
    "exclusions_back": {"code": CODE, "neighbours": 60, "limit": 5},
    "exclusions_of": {"code": CODE, "limit": 5},
    "closest_exclusions": {"limit": 12},
    "siblings": {"code": "44111", "limit": 5},
    "near_but_outside": {"within": "441", "limit": 100},
    "sector_confusions": {"closest": 120, "limit": 10},
    "reclassify": {"level": 6, "far": 8, "limit": 100},
    "entries_of_neighbours": {"code": CODE, "entries": 2, "limit": 4},
    "radius_outliers": {"limit": 20},
    "moved_most": {"limit": 45},
    "subtree_spread": {"level": 3, "limit": 5},
    "candidate_parents": {"code": CODE, "limit": 9},
    "between": {"code": CODE, "other": "541112", "level": 6, "limit": 6},
    "general_neighbours": {"code": CODE, "neighbours": 30, "limit": 10},
}
# More than the codes of both vintages: the index then leaves nothing out.
CANDIDATES = 400


@pytest.mark.parametrize("vintage", ["2017", "2022"])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_query_answers_as_numpy_does(
    store: GraphStore, worlds: dict[str, World], name: str, vintage: str
) -> None:
    parameters = dict(PARAMETERS[name])
    expected = REFERENCES[name](worlds[vintage], **parameters)
    if "candidates" in hybrid_query(store.dialect, name).parameters:
        parameters["candidates"] = CANDIDATES
    rows = run_hybrid(store, name, parameters | {"vintage": vintage})
    assert expected, "the sample must have an answer"
    assert [_rounded(row) for row in rows] == [_rounded(row) for row in expected]


@pytest.mark.parametrize("vintage", ["2017", "2022"])
def test_a_distance_below_rounding_is_zero(store: GraphStore, vintage: str) -> None:
    """The cosh of equal points may round below 1, where the logarithm form is no number."""
    for code in TWINS:
        rows = run_hybrid(
            store, "candidate_parents", {"vintage": vintage, "code": code, "limit": 100}
        )
        assert rows[0]["is_parent"]
        assert 0.0 <= rows[0]["distance"] < 1e-5


@pytest.mark.parametrize(
    ("level", "far"), [(2, 2), (3, 2), (3, 4), (5, 5), (6, 2), (6, 4), (6, 10), (2, 4), (6, 12)]
)
def test_pairs_far_in_the_tree_at_every_level(
    store: GraphStore, world: World, level: int, far: int
) -> None:
    expected = reclassify(world, level=level, far=far, limit=30)
    assert bool(expected) == (far <= 2 * (level - 1)), "two sectors are the farthest"
    parameters: dict[str, Value] = {"vintage": world.taxonomy.vintage, "level": level, "far": far}
    rows = run_hybrid(store, "reclassify", parameters | {"limit": 30})
    assert [_rounded(row) for row in rows] == [_rounded(row) for row in expected]


def test_an_unknown_code_answers_nothing(store: GraphStore) -> None:
    parameters = dict(hybrid_query(store.dialect, "siblings").parameters) | {"code": "999999"}
    assert run_hybrid(store, "siblings", parameters) == []


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    # The logarithm form is good to about 1e-6 near 0 and far better elsewhere.
    return {
        key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()
    }
