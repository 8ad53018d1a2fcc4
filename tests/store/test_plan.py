"""What rows and plans say, without a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from naics_graph.errors import DatabaseError, DataError
from naics_graph.store.contract import Row
from naics_graph.store.migrations import known_migrations, pending_migrations
from naics_graph.store.plan import LoadPlan, Stored, diff_rows, plan_load
from naics_graph.store.queries import load_query, query_files, statements
from naics_graph.store.rows import (
    GROUPS,
    Group,
    became_rows,
    content_hash,
    graph_edges,
    graph_nodes,
    taxonomy_of,
    taxonomy_rows,
    vintage_row,
)
from naics_graph.taxonomy.model import Taxonomy
from tests.store.sample import reversed_texts, sample, without


def stored(taxonomy: Taxonomy) -> dict[Group, dict[str, Stored]]:
    """What a database that holds a taxonomy would answer."""
    rows = taxonomy_rows(taxonomy)
    return {g: {r["key"]: Stored(r["hash"], r["position"]) for r in rows[g]} for g in GROUPS}


def changed(plan: LoadPlan) -> Mapping[Group, tuple[int, int, int]]:
    return {
        group: (len(d.created), len(d.updated), len(d.moved)) for group, d in plan.diffs.items()
    }


@pytest.mark.parametrize("split", [False, True])
def test_rows_and_back(split: bool) -> None:
    taxonomy = sample(split=split)
    rows = taxonomy_rows(taxonomy)
    pairs: list[Row] = [
        {**row, "source": row["start"].split(":")[1], "target": row["end"].split(":")[1]}
        for row in rows["EXCLUDES"]
    ]
    node = vintage_row(taxonomy, rows)
    back = taxonomy_of(node, rows["Industry"][::-1], pairs[::-1], rows["IndexEntry"][::-1])
    assert back == taxonomy
    assert node["split"] is split


def test_places_do_not_depend_on_the_entries_nothing_may_read() -> None:
    whole = sample(split=True)
    read = tuple(entry for entry in whole.entries if not entry.evaluated)
    assert 0 < len(read) < len(whole.entries)
    without_them = dataclasses.replace(whole, entries=read)
    place = {row["key"]: row["position"] for row in taxonomy_rows(whole)["IndexEntry"]}
    alone = {row["key"]: row["position"] for row in taxonomy_rows(without_them)["IndexEntry"]}
    assert {key: place[key] for key in alone} == alone


def test_rows_have_unique_keys_and_ends_that_exist() -> None:
    rows = taxonomy_rows(sample())
    nodes = {row["key"] for group in ("Industry", "IndexEntry") for row in rows[group]}
    for group in GROUPS:
        keys = [row["key"] for row in rows[group]]
        assert len(keys) == len(set(keys))
        for row in rows[group]:
            assert group in ("Industry", "IndexEntry") or {row["start"], row["end"]} <= nodes


def test_a_hash_is_of_content_not_of_place() -> None:
    first, second = sample(), reversed_texts(sample())
    entries = [
        {r["key"]: r["hash"] for r in taxonomy_rows(t)["IndexEntry"]} for t in (first, second)
    ]
    assert entries[0] == entries[1]
    assert content_hash("ab", "c") != content_hash("a", "bc")
    assert content_hash(None) != content_hash("")


def test_every_content_field_is_in_the_hash() -> None:
    (industry, *_), (entry, *_), (exclusion, *_) = (
        sample().industries,
        sample().entries,
        sample().exclusions,
    )
    variants = [
        dataclasses.replace(industry, title="x"),
        dataclasses.replace(industry, description="x"),
        dataclasses.replace(industry, examples=("x",)),
        dataclasses.replace(industry, examples=("x", "")),
        dataclasses.replace(industry, excluded=("x",)),
        dataclasses.replace(industry, described_by="111"),
        industry,
    ]
    hashes = {
        taxonomy_rows(Taxonomy("2022", (variant,)))["Industry"][0]["hash"] for variant in variants
    }
    assert len(hashes) == len(variants)
    roles = [entry, dataclasses.replace(entry, text="x"), dataclasses.replace(entry, code="x")]
    assert (
        len({taxonomy_rows(Taxonomy("2022", (), (), (e,)))["IndexEntry"][0]["hash"] for e in roles})
        == 3
    )
    clauses = [exclusion, dataclasses.replace(exclusion, clause="x")]
    assert (
        len({taxonomy_rows(Taxonomy("2022", (), (e,)))["EXCLUDES"][0]["hash"] for e in clauses})
        == 2
    )


def test_a_first_load_creates_all_and_a_second_nothing() -> None:
    first = plan_load(sample())
    assert first.changes
    assert {g: n for g, (n, _, _) in changed(first).items()} == {
        g: len(rows) for g, rows in first.rows.items()
    }
    again = plan_load(sample(), stored(sample()), version=first.vintage["version"])
    assert not again.changes
    assert set(changed(again).values()) == {(0, 0, 0)}


def test_reordering_moves_and_counts_as_unchanged() -> None:
    before = sample()
    after = dataclasses.replace(before, entries=before.entries[::-1])
    plan = plan_load(after, stored(before), version="other")
    created, updated, moved = changed(plan)["IndexEntry"]
    assert (created, updated) == (0, 0)
    assert moved >= len(after.entries) - 1
    assert plan.report("db", 0.0, dry_run=False).unchanged == sum(map(len, plan.rows.values()))


def test_a_vanished_code_keeps_its_parent_and_loses_all_else() -> None:
    plan = plan_load(without(sample(), "541519"), stored(sample()), version="other")
    assert plan.vanished == plan.to_mark == ("2022:541519",)
    assert plan.to_delete["HAS_CHILD"] == ()
    assert plan.to_delete["EXCLUDES"] == ("2022:541511>2022:541519",)
    assert len(plan.to_delete["IndexEntry"]) == len(plan.to_delete["CLASSIFIED_AS"]) == 3


def test_a_code_marked_missing_is_not_marked_again_and_returns_as_an_update() -> None:
    known = stored(sample())
    known["Industry"]["2022:541519"] = Stored("")
    assert plan_load(without(sample(), "541519"), known).to_mark == ()
    assert changed(plan_load(sample(), known))["Industry"][1] == 1


def test_diff_rows_by_hand() -> None:
    rows = [
        {"key": k, "hash": h, "position": i}
        for i, (k, h) in enumerate([("a", "x"), ("b", "y"), ("c", "z")])
    ]
    diff = diff_rows(rows, {"a": Stored("x", 0), "b": Stored("old", 1), "d": Stored("w", 2)})
    assert [r["key"] for r in diff.created] == ["c"]
    assert [r["key"] for r in diff.updated] == ["b"]
    assert (diff.moved, diff.unchanged, diff.missing) == ((), 1, ("d",))


def test_links_join_equal_titles_of_neighbours() -> None:
    titles = {"1": "one", "2": "two"}
    others = {"2012": {"1": "one"}, "2017": {"1": "one", "2": "zwei"}, "2027": {"2": "two"}}
    keys = [row["key"] for row in became_rows("2022", titles, others)]
    assert keys == ["2017:1>2022:1", "2022:2>2027:2"]


def test_an_export_leaves_out_pairs_without_ends() -> None:
    relation = ("industry", "excludes", "industry")
    none: dict[str, list[int]] = {"key": [], "place": []}
    codes = {"key": ["b", "a"], "place": [0, 5]}
    nodes = graph_nodes({"vintage": "v", "version": "1"}, codes, none)
    assert nodes.codes == ("a", "b")
    assert nodes.code_place.tolist() == [5, 0]
    pairs = {"source": list("baaa"), "target": ["a", "b", "b", "gone"]}
    assert np.array_equal(graph_edges(nodes, relation, pairs), [[0, 1], [1, 0]])
    assert graph_edges(nodes, relation, {"source": [], "target": []}).shape == (2, 0)


def test_nodes_with_places_of_others_are_refused() -> None:
    none: dict[str, list[int]] = {"key": [], "place": []}
    one = {"key": ["b"], "place": [0]}
    nodes = graph_nodes({"vintage": "v", "version": "1"}, one, none)
    with pytest.raises(ValueError, match="1 codes and 1 entries"):
        dataclasses.replace(nodes, entries=("e",))


def test_entries_must_carry_their_vintage_and_be_unique() -> None:
    entry = sample().entries[0]
    bad = dataclasses.replace(sample(), entries=(dataclasses.replace(entry, key="17"),))
    with pytest.raises(DataError, match="'17' has a key without its vintage"):
        plan_load(bad)
    with pytest.raises(DataError, match="more than once"):
        plan_load(dataclasses.replace(sample(), entries=(entry, entry)))


@pytest.mark.parametrize("dialect", ["ladybug", "neo4j"])
def test_migrations_apply_in_order_and_once(dialect: str) -> None:
    names = [migration.name for migration in known_migrations(dialect)]
    assert names == sorted(names) != []
    assert all(migration.statements for migration in known_migrations(dialect))
    assert [m.name for m in pending_migrations(dialect, names[:1], "db")] == names[1:]
    with pytest.raises(DatabaseError, match=r"newer schema[^§]*9999[^§]*db[^§]*upgrade"):
        pending_migrations(dialect, [*names, "9999_new"], "db")


def test_statements_are_split_at_line_ends() -> None:
    text = "// a; comment\nMATCH (n {t: ';'})\nRETURN n;\n\nRETURN 1;\n// end\nRETURN 2"
    assert statements(text) == ["MATCH (n {t: ';'})\nRETURN n", "RETURN 1", "RETURN 2"]


def test_a_dialect_overrides_the_common_queries() -> None:
    common = query_files("none")
    for dialect in ("ladybug", "neo4j"):
        assert common.keys() < query_files(dialect).keys()
        for name in query_files(dialect):
            assert load_query(dialect, name).strip()
    with pytest.raises(DatabaseError, match=r"'vintagez'[^§]*the nearest: vintage"):
        load_query("ladybug", "vintagez")
