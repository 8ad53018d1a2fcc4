"""Questions to both databases: order, scope, sets, evidence, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from naics_graph.errors import ArtifactMismatchError, DatabaseError, UsageError
from naics_graph.geometry import lorentz
from naics_graph.search.search import Scope, Searcher, StaleSetError, search_point
from naics_graph.search.why import evidence_for
from naics_graph.store.contract import GraphStore
from naics_graph.store.open import open_store
from tests.search.world import CODE, World


@pytest.fixture
def searcher(store: GraphStore, tmp_path: Path) -> Searcher:
    return Searcher(store, tmp_path)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("level", [2, 3, 4, 5, 6, None])
def test_the_nearest_codes_of_a_point_are_those_of_a_scan(
    store: GraphStore, world: World, level: int | None, exact: bool
) -> None:
    tangent = torch.tensor([[0.3, -0.7, 0.2, 0.5]], dtype=torch.float64)
    point = lorentz.expmap0(tangent, world.curvature)
    distance = lorentz.pairwise_distance(point, torch.from_numpy(world.points), world.curvature)[0]
    wanted = [
        code
        for _, code in sorted(zip(distance.tolist(), world.index.codes, strict=True))
        if level is None or world.index.by_code[code].level == level
    ][:8]
    found = search_point(
        store, world.info, point[0].numpy(), Scope(level=level, limit=8, exact=exact)
    )
    assert [measured.neighbour.code for measured in found] == wanted
    for measured in found:
        position = world.index.position[measured.neighbour.code]
        assert measured.distance == pytest.approx(float(distance[position]), abs=1e-9)
        path = [code for code, _ in measured.neighbour.path]
        assert path == world.index.path(measured.neighbour.code)


def test_similar_answers_with_the_own_level_and_never_with_the_code(
    searcher: Searcher, world: World
) -> None:
    found = searcher.similar(CODE, scope=Scope(level=6, limit=200))
    codes = [hit.code for hit in found.results]
    assert set(codes) == set(world.leaves("11") + world.leaves("44-45") + world.leaves("54")) - {
        CODE
    }
    assert codes == sorted(codes, key=lambda code: world.between(code, CODE))
    assert [hit.rank for hit in found.results] == list(range(1, len(codes) + 1))
    assert [hit.score for hit in found.results] == sorted(
        (hit.score for hit in found.results), reverse=True
    )
    assert found.embedding_set == world.set_id
    assert found.vintage == "2022"
    for hit in found.results:
        assert hit.distance == pytest.approx(world.between(hit.code, CODE), abs=1e-9)


def test_similar_over_all_levels_answers_with_ancestors_and_twins(searcher: Searcher) -> None:
    found = searcher.similar("111120", scope=Scope(level=None, limit=200))
    why = {hit.code: hit.why for hit in found.results}
    assert "above it in the tree, 1 edge apart" in why["11112"]
    assert "111120" not in why
    assert "another sector" in why["54"]


@pytest.mark.parametrize("within", ["44-45", "1111", "441120"])
def test_within_keeps_the_codes_below(searcher: Searcher, world: World, within: str) -> None:
    found = searcher.similar("541111", scope=Scope(level=6, within=within, limit=100))
    assert {hit.code for hit in found.results} == set(world.leaves(within))
    assert all(within in [step.code for step in hit.path] for hit in found.results)


def test_an_older_vintage_answers_from_its_own_set(
    searcher: Searcher, worlds: dict[str, World]
) -> None:
    old = worlds["2017"]
    found = searcher.similar(CODE, scope=Scope(level=6, limit=5), vintage="2017")
    assert found.embedding_set == old.set_id
    for hit in found.results:
        assert hit.distance == pytest.approx(old.between(hit.code, CODE), abs=1e-9)


def test_limit_and_level_out_of_range_are_refused(searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="limit"):
        searcher.similar(CODE, scope=Scope(limit=0))
    with pytest.raises(UsageError, match="level 7"):
        searcher.similar(CODE, scope=Scope(level=7))


def test_an_unknown_code_names_near_ones(searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="111112"):
        searcher.similar("111113")
    with pytest.raises(UsageError, match="44-45"):
        searcher.similar(CODE, scope=Scope(within="44-46"))


def test_an_unknown_vintage_names_those_loaded(searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="2017, 2022"):
        searcher.similar(CODE, vintage="1997")


def test_a_text_needs_the_model_of_the_set(searcher: Searcher) -> None:
    with pytest.raises(ArtifactMismatchError) as caught:
        searcher.search("dog grooming")
    assert caught.value.exit_code == 6
    assert "train" in str(caught.value)


def test_the_text_is_checked_before_the_model(searcher: Searcher) -> None:
    with pytest.raises(UsageError, match="empty"):
        searcher.search(" ")
    with pytest.raises(UsageError, match="empty"):
        searcher.encode(["dog grooming", ""])


def test_rows_of_another_set_are_refused(store: GraphStore, worlds: dict[str, World]) -> None:
    import dataclasses

    world = worlds["2022"]
    stale = dataclasses.replace(world.info, id="replaced")
    with pytest.raises(StaleSetError):
        search_point(store, stale, world.points[0], Scope())


def test_evidence_is_never_a_validation_entry(store: GraphStore, world: World) -> None:
    asked = f"Trade a of {CODE}"
    (held_out,) = [e for e in world.taxonomy.entries if e.text == asked]
    assert held_out.evaluated
    found = evidence_for(store, "2022", [CODE, "1111"], asked)
    assert found[CODE].text in {f"Trade {letter} of {CODE}" for letter in "bcd"}
    assert found[CODE].overlap < 1.0
    assert found["1111"].kind == "title"


def test_evidence_prefers_the_title_among_equals(store: GraphStore) -> None:
    found = evidence_for(store, "2022", [CODE], f"Title {CODE}")
    assert (found[CODE].kind, found[CODE].overlap) == ("title", 1.0)


def test_nothing_loaded_and_nothing_trained_say_what_to_do(
    tmp_path: Path, worlds: dict[str, World]
) -> None:
    with open_store(str(tmp_path / "empty.lbug")) as empty:
        empty.migrate()
        searcher = Searcher(empty, tmp_path)
        with pytest.raises(DatabaseError, match="naics-graph load"):
            searcher.similar(CODE)
        empty.load(worlds["2022"].taxonomy)
        with pytest.raises(DatabaseError, match="naics-graph train"):
            searcher.similar(CODE)


def test_a_set_activated_between_two_questions_answers_the_second(
    tmp_path: Path, world: World
) -> None:
    import dataclasses

    with open_store(str(tmp_path / "two.lbug")) as store:
        store.migrate()
        store.load(world.taxonomy)
        store.publish(world.info, world.rows)
        searcher = Searcher(store, tmp_path)
        first = searcher.similar(CODE, scope=Scope(limit=100))
        other = dataclasses.replace(world, points=np.roll(world.points, 1, axis=0), set_id="other")
        store.publish(other.info, other.rows)
        second = searcher.similar(CODE, scope=Scope(limit=100))
    assert (first.embedding_set, second.embedding_set) == (world.set_id, "other")
    for hit in second.results:
        assert hit.distance == pytest.approx(other.between(hit.code, CODE), abs=1e-9)
