"""Laws of embedding sets and of nearest codes, for every store."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Callable

import numpy as np
import pytest

from naics_graph.errors import DatabaseError, DataError
from naics_graph.geometry import lorentz
from naics_graph.store import sets
from naics_graph.store.contract import (
    EmbeddingRows,
    EmbeddingSetInfo,
    GraphStore,
    NearestRequest,
)
from naics_graph.taxonomy.model import LEVELS, level_of
from tests.store.sample import CODES, parent_of, query_of, retitled, sample, sample_set, without

Set = tuple[EmbeddingSetInfo, EmbeddingRows]
NEW = sample()


def request(point: np.ndarray, **options: object) -> NearestRequest:
    return NearestRequest("2022", point, query_of(point), **options)  # type: ignore[arg-type]


def brute_force(rows: EmbeddingRows, asked: NearestRequest) -> list[str]:
    """Codes by the Lorentz inner product in numpy, largest first."""
    inner = rows.embedding[:, 1:] @ asked.point[1:] - rows.embedding[:, 0] * asked.point[0]
    return [
        rows.codes[i]
        for i in np.argsort(-inner)
        if asked.level in (None, level_of(rows.codes[i]))
        and rows.codes[i] != asked.exclude
        and (asked.within is None or asked.within in path_of(rows.codes[i]))
    ][: asked.limit]


def path_of(code: str) -> list[str]:
    parent = parent_of(code)
    return [*([] if parent is None else path_of(parent)), code]


def active(store: GraphStore) -> dict[str, str]:
    return {s.vintage: s.id for s in store.embedding_sets() if s.status == "active"}


def points_of(store: GraphStore, set_id: str) -> dict[str, list[float]]:
    codes, points = store.read_set(set_id)
    assert codes == sorted(codes)
    assert points.dtype == np.float64
    return dict(zip(codes, points.tolist(), strict=True))


def moved(store: GraphStore) -> dict[str, float]:
    rows = store.run("q_moved_most", vintage="2022", limit=len(CODES))
    return {row["code"]: row["moved"] for row in rows}


def given(rows: EmbeddingRows) -> dict[str, list[float]]:
    return dict(zip(rows.codes, rows.embedding.tolist(), strict=True))


def test_the_width_of_index_vectors_is_that_of_the_geometry() -> None:
    assert sets.KNN_WIDTH == lorentz.KNN_WIDTH


def test_a_published_set_reads_back_exactly(store: GraphStore) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "first", curvature=2.0)
    store.publish(info, rows)
    assert store.embedding_sets() == [dataclasses.replace(info, status="active")]
    assert points_of(store, "first") == given(rows)
    counts = store.counts()
    assert counts["Embedding"] == counts["OF"] == len(rows.codes)
    assert counts["EmbeddingSet"] == 1


def test_a_set_published_without_activation_waits(store: GraphStore) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "first")
    store.publish(info, rows, activate=False)
    assert active(store) == {}
    with pytest.raises(DatabaseError, match=r"no embedding set of vintage 2022 is active"):
        store.nearest(request(rows.embedding[0]))
    store.activate_set("first")
    assert active(store) == {"2022": "first"}
    assert store.nearest(request(rows.embedding[0]))


def test_the_last_activated_set_answers_and_dims_may_differ(store: GraphStore) -> None:
    store.load(NEW)
    small = sample_set(NEW, "small", dims=16, seed=1)
    large = sample_set(NEW, "large", dims=64, seed=2)
    for info, rows in (small, large):
        store.publish(info, rows)
    assert [s.id for s in store.embedding_sets()] == ["large", "small"]
    for info, rows in (large, small, large):
        store.activate_set(info.id)
        assert active(store) == {"2022": info.id}
        for asked in (request(p, limit=4, exact=True) for p in rows.embedding[:5]):
            found = store.nearest(asked)
            assert [n.code for n in found] == brute_force(rows, asked)
            assert {n.embedding_set for n in found} == {info.id}
    with pytest.raises(DatabaseError, match=r"64 dimensions, the point 16"):
        store.nearest(request(small[1].embedding[0]))


@pytest.mark.parametrize("exact", [True, False])
def test_nearest_is_the_order_of_a_scan_in_numpy(store: GraphStore, exact: bool) -> None:
    store.load(sample("2017"))
    store.load(NEW)
    for taxonomy in (sample("2017"), NEW):
        info, rows = sample_set(taxonomy, taxonomy.vintage, seed=3)
        store.publish(info, rows)
    scopes: list[dict[str, object]] = [{"level": level} for level in (None, *LEVELS)]
    scopes += [{"within": "31-33"}, {"within": "5415", "level": None}, {"within": "11", "level": 3}]
    scopes += [{"exclude": "541511"}, {"level": None, "limit": 3}, {"within": "541512"}]
    # Around the limit that ladybug's nearest.cypher has written in.
    scopes += [{"level": None, "limit": n, "exclude": "11"} for n in (9, 10, 11, 12, 40)]
    for point in rows.embedding[::7]:
        for scope in scopes:
            asked = request(point, exact=exact, **scope)
            found = store.nearest(asked)
            assert [n.code for n in found] == brute_force(rows, asked), scope
            for neighbour in found:
                assert neighbour.embedding.tolist() == given(rows)[neighbour.code]
                assert neighbour.level == level_of(neighbour.code)
                assert [code for code, _ in neighbour.path] == path_of(neighbour.code)
                assert neighbour.path[-1] == (neighbour.code, neighbour.title)
    assert store.nearest(request(rows.embedding[0], within="111219")) == []


def test_every_vintage_has_its_own_active_set(store: GraphStore) -> None:
    for vintage in ("2017", "2022"):
        store.load(sample(vintage))
        for name in "ab":
            store.publish(*sample_set(sample(vintage), vintage + name))
    assert active(store) == {"2017": "2017b", "2022": "2022b"}
    store.activate_set("2017a")
    assert active(store) == {"2017": "2017a", "2022": "2022b"}
    point = store.read_set("2022b")[1][0]
    assert {n.embedding_set for n in store.nearest(request(point))} == {"2022b"}


def test_a_code_says_how_far_the_active_set_moved_it(store: GraphStore) -> None:
    store.load(NEW)
    far, rows = sample_set(NEW, "far")
    near, less = sample_set(without(NEW, "541512"), "near", seed=1)
    still = dataclasses.replace(far, id="still")
    store.publish(far, rows)
    store.publish(near, less)
    assert moved(store) == dict(zip(less.codes, less.moved.tolist(), strict=True))
    store.activate_set("far")
    assert moved(store) == dict(zip(rows.codes, rows.moved.tolist(), strict=True))
    store.load(sample(split=True))
    assert moved(store) == dict(zip(rows.codes, rows.moved.tolist(), strict=True))
    store.publish(still, dataclasses.replace(rows, moved=np.zeros_like(rows.moved)))
    assert moved(store) == {}


BEFORE_MOVED = {
    "ladybug": (
        "ALTER TABLE Industry DROP moved",
        "ALTER TABLE Embedding DROP moved",
        "MATCH (m:Migration {name: '0002_moved'}) DELETE m",
    ),
    "neo4j": (
        "MATCH (n) REMOVE n.moved",
        "DROP INDEX industry_vintage_moved",
        "MATCH (m:Migration {name: '0004_moved'}) DELETE m",
    ),
}


def test_sets_published_before_codes_said_how_far_they_moved(
    store: GraphStore, raw_write: Callable[[str], None]
) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "before")
    store.publish(info, rows)
    for statement in BEFORE_MOVED[store.dialect]:
        raw_write(statement)
    assert len(store.migrate()) == 1
    assert store.migrate() == []
    assert store.taxonomy() == NEW
    assert points_of(store, "before") == given(rows)
    assert moved(store) == {}
    _, later = sample_set(NEW, "later", seed=1)
    store.publish(dataclasses.replace(info, id="later"), later)
    assert moved(store) == dict(zip(later.codes, later.moved.tolist(), strict=True))
    store.activate_set("before")
    assert moved(store) == {}
    asked = request(rows.embedding[0], exact=True)
    assert [n.code for n in store.nearest(asked)] == brute_force(rows, asked)


def test_deleting_leaves_the_others(store: GraphStore) -> None:
    store.load(NEW)
    first, second = sample_set(NEW, "first"), sample_set(NEW, "second", seed=1)
    store.publish(*first)
    store.publish(*second)
    with pytest.raises(DatabaseError, match=r"'second' is active[^§]*sets activate"):
        store.delete_set("second")
    store.delete_set("first")
    assert [s.id for s in store.embedding_sets()] == ["second"]
    assert store.counts()["Embedding"] == store.counts()["OF"] == len(second[1].codes)
    assert points_of(store, "second") == given(second[1])
    store.publish(*first, activate=False)
    assert points_of(store, "first") == given(first[1])


@pytest.mark.parametrize("verb", ["activate_set", "delete_set", "read_set"])
def test_an_unknown_set_is_an_error_that_names_the_list(store: GraphStore, verb: str) -> None:
    store.load(NEW)
    with pytest.raises(DatabaseError, match=r"no embedding set 'nothing'[^§]*naics-graph sets"):
        getattr(store, verb)("nothing")


def broken(what: str) -> Set:
    info, rows = sample_set(NEW, "broken")
    changes: dict[str, dict[str, object]] = {
        "an unknown code": {"codes": ["999999", *rows.codes[1:]]},
        "a code twice": {"codes": [rows.codes[1], *rows.codes[1:]]},
        "nan": {"embedding": np.full_like(rows.embedding, np.nan)},
        "float32": {"embedding": rows.embedding.astype(np.float32)},
        "width": {"knn": rows.knn[:, :-1]},
        "shape of moved": {"moved": rows.moved[:, None]},
        "moved by nan": {"moved": np.full_like(rows.moved, np.nan)},
    }
    return info, dataclasses.replace(rows, **changes[what])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("an unknown code", DatabaseError),
        ("a code twice", DataError),
        ("nan", DataError),
        ("float32", DataError),
        ("width", DataError),
        ("shape of moved", DataError),
        ("moved by nan", DataError),
    ],
)
def test_a_set_that_cannot_be_published_changes_nothing(
    store: GraphStore, what: str, error: type[Exception]
) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "first")
    store.publish(info, rows)
    before = store.counts()
    with pytest.raises(error, match="broken"):
        store.publish(*broken(what))
    assert store.counts() == before
    assert active(store) == {"2022": "first"}
    assert points_of(store, "first") == given(rows)


def test_an_id_is_published_once(store: GraphStore) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "first")
    store.publish(info, rows)
    with pytest.raises(DatabaseError, match=r"already an embedding set 'first'"):
        store.publish(*sample_set(NEW, "first", seed=9))
    assert points_of(store, "first") == given(rows)


def test_sets_survive_a_load_and_codes_without_a_vector_do_not_answer(store: GraphStore) -> None:
    store.load(NEW)
    info, rows = sample_set(NEW, "first")
    store.publish(info, rows)
    store.load(retitled(NEW, "541511", "Other"))
    point = rows.embedding[rows.codes.index("541511")]
    assert store.nearest(request(point))[0].title == "Other"
    store.load(without(NEW, "541511"))
    assert points_of(store, "first") == given(rows)
    assert "541511" not in {n.code for n in store.nearest(request(point, limit=40))}
    less = without(NEW, "541512")
    store.load(NEW)
    store.publish(*sample_set(less, "less"))
    found = {n.code for n in store.nearest(request(point, level=None, limit=40))}
    assert found == set(CODES) - {"111219", "541512"}


def test_a_reader_only_ever_sees_whole_sets(store: GraphStore, another: GraphStore) -> None:
    store.load(NEW)
    known = {name: sample_set(NEW, name, seed=seed)[1] for name, seed in (("a", 0), ("b", 1))}
    for name, seed in (("a", 0), ("b", 1)):
        store.publish(*sample_set(NEW, name, seed=seed))
    asked = request(known["a"].embedding[0], level=None, limit=40)
    stop, answered = threading.Event(), threading.Semaphore(0)
    seen, problems = set[str](), list[str]()

    def read() -> None:
        while not stop.is_set():
            try:
                found = another.nearest(asked)
            except DatabaseError as error:
                problems.append(str(error))
                found = []
            names = {n.embedding_set for n in found}
            whole = {n.code: n.embedding.tolist() for n in found}
            if len(names) != 1 or whole != given(known[min(names)]):
                absent = set(known["a"].codes) - whole.keys()
                problems.append(f"{len(found)} codes of {names}, without {absent}")
            seen.update(names)
            answered.release()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for name in "ababab":
            store.activate_set(name)
            # The second answer from here on was asked for after the flip.
            for _ in range(2):
                assert answered.acquire(timeout=60)
    finally:
        stop.set()
        reader.join()
    assert problems == []
    assert seen == {"a", "b"}


def test_a_copy_is_a_second_store_on_the_same_database(store: GraphStore) -> None:
    store.load(NEW)
    with copy.copy(store) as other:
        assert other is not store
        assert other.location == store.location
        assert other.taxonomy() == NEW
    assert store.taxonomy() == NEW


def test_only_named_queries_run(store: GraphStore) -> None:
    store.load(NEW)
    with pytest.raises(DatabaseError, match=r"no query 'vintage_s'[^§]*vintages"):
        store.run("vintage_s")
    assert store.run("vintages") == [{"vintage": "2022"}]
