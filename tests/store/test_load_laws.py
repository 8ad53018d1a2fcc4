"""Laws of loading and reading back, for every store."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from naics_graph.errors import DatabaseError
from naics_graph.store.contract import GraphStore, LoadReport
from naics_graph.taxonomy.model import Role, Taxonomy
from tests.store.sample import (
    ECHO,
    RENAMED,
    SEALED,
    retitled,
    reversed_texts,
    sample,
    sample_set,
    without,
)


def rows_of(taxonomy: Taxonomy) -> int:
    """Nodes and relationships of a vintage on its own."""
    edges = sum(i.parent is not None for i in taxonomy.industries)
    return len(taxonomy.industries) + edges + len(taxonomy.exclusions) + 2 * len(taxonomy.entries)


def counted(report: LoadReport) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, report.missing


def everything(store: GraphStore, vintages: tuple[str, ...] = ("2022",)) -> list[object]:
    """What a store says of its vintages, to compare two of them."""
    result: list[object] = [store.counts()]
    for vintage in vintages:
        graph = store.export_graph(vintage)
        edges = {relation: pairs.tolist() for relation, pairs in graph.edges.items()}
        result += [store.taxonomy(vintage), graph.codes, graph.entries, graph.version, edges]
    return result


def test_migrating_twice_changes_nothing(store: GraphStore) -> None:
    applied = store.migrate()
    assert applied
    assert store.migrations() == applied == sorted(applied)
    assert store.migrate() == []


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("vintage", ["2017", "2022"])
def test_a_taxonomy_reads_back_as_it_was_loaded(
    store: GraphStore, vintage: str, split: bool
) -> None:
    taxonomy = sample(vintage, split=split)
    report = store.load(taxonomy)
    assert store.taxonomy(vintage) == store.taxonomy() == taxonomy
    assert counted(report) == (rows_of(taxonomy), 0, 0, 0)
    assert (report.codes, report.exclusions) == (len(taxonomy.industries), 4)
    assert sum(report.index_entries.values()) == len(taxonomy.entries)
    assert report.left_out == taxonomy.left_out
    assert store.vintages() == [vintage]


def test_the_order_of_texts_is_kept(store: GraphStore) -> None:
    taxonomy = reversed_texts(sample())
    store.load(taxonomy)
    assert store.taxonomy() == taxonomy
    assert taxonomy.entries != tuple(sorted(taxonomy.entries, key=lambda e: e.key))


def test_reordering_alone_is_stored_and_counts_as_unchanged(store: GraphStore) -> None:
    before = reversed_texts(sample())
    after = dataclasses.replace(
        before, entries=before.entries[::-1], exclusions=before.exclusions[::-1]
    )
    store.load(before)
    assert counted(store.load(after)) == (0, 0, rows_of(before), 0)
    assert store.taxonomy() == after


def test_loading_twice_changes_nothing(store: GraphStore) -> None:
    taxonomy = sample(split=True)
    store.load(taxonomy)
    before = everything(store)
    assert counted(store.load(taxonomy)) == (0, 0, rows_of(taxonomy), 0)
    assert everything(store) == before


def test_a_changed_text_is_one_update(store: GraphStore) -> None:
    store.load(sample())
    version = store.graph_version("2022")
    changed = retitled(sample(), "541511", "Another title")
    assert counted(store.load(changed)) == (0, 1, rows_of(changed) - 1, 0)
    assert store.taxonomy() == changed
    assert store.graph_version("2022") != version


def test_a_dry_run_tells_what_a_load_would_do_and_does_nothing(store: GraphStore) -> None:
    taxonomy = sample()
    assert counted(store.load(taxonomy, dry_run=True)) == (rows_of(taxonomy), 0, 0, 0)
    assert store.vintages() == []
    assert store.migrations() == []
    store.load(taxonomy)
    before = everything(store)
    changed = without(retitled(sample(split=True), "11", "Other"), "332112")
    told = store.load(changed, dry_run=True)
    assert told.dry_run
    assert everything(store) == before
    done = store.load(changed)
    assert counted(told) == counted(done)
    assert told.missing_keys == done.missing_keys == ("2022:332112",)


def test_a_code_that_vanished_is_reported_kept_and_comes_back(store: GraphStore) -> None:
    full, less = sample(), without(sample(), "541519")
    store.load(full)
    report = store.load(less)
    # The code, its three entries with their edges, and the exclusion that led to it.
    assert report.missing_keys == ("2022:541519",)
    assert report.missing == 1 + 2 * 3 + 1
    assert store.taxonomy() == less
    assert "541519" not in store.export_graph("2022").codes
    assert store.counts()["Industry"] == len(full.industries)
    (kept,) = store.run("search_evidence", keys=["2022:541519"])
    assert kept["title"] == f"Title of {RENAMED}, renamed"
    assert store.run("search_entries", keys=["2022:541519"]) == []
    assert kept["examples"] == ["Example of 541519"]
    assert counted(store.load(less))[3] == 1
    assert store.load(full).updated == 1
    assert store.taxonomy() == full


def test_a_split_leaves_no_sealed_entry_and_no_equal_text(store: GraphStore) -> None:
    """Even if they were loaded before, and if the code they belonged to vanished."""
    store.load(sample())
    assert SEALED in texts(store)
    assert ECHO in texts(store)
    store.load(without(sample(split=True), "311119"))
    assert SEALED not in texts(store)
    assert ECHO not in texts(store)


def texts(store: GraphStore) -> set[str]:
    """Every example and entry in the database, of codes that vanished too."""
    found = {row["text"] for row in store.run("index_entries", vintage="2022")}
    keys = [f"2022:{industry.code}" for industry in sample().industries]
    for row in store.run("search_evidence", keys=keys):
        found |= {*row["examples"]}
    return found | {row["text"] for row in store.run("search_entries", keys=keys)}


VARIANTS: dict[str, Taxonomy] = {
    "plain": sample(),
    "split": sample(split=True),
    "retitled": retitled(sample(), "5415", "Other"),
    "reordered": reversed_texts(sample()),
}


TOUR = (
    "plain split plain retitled plain reordered split retitled split reordered retitled reordered"
)


def test_what_a_load_leaves_does_not_depend_on_what_was_there(store: GraphStore) -> None:
    """After every step of a tour over (nearly) all pairs of variants."""
    for name in [*TOUR.split(), "plain"]:
        last = VARIANTS[name]
        store.load(last)
        assert store.taxonomy() == last
        counts = store.counts()
        assert counts["IndexEntry"] == counts["CLASSIFIED_AS"] == len(last.entries)
        assert counts["EXCLUDES"] == len(last.exclusions)


def test_vintages_stand_side_by_side_and_equal_codes_are_linked(store: GraphStore) -> None:
    old, new = sample("2017", split=True), sample("2022")
    store.load(new)
    report = store.load(old)
    same = len(
        {(i.code, i.title) for i in old.industries} & {(i.code, i.title) for i in new.industries}
    )
    assert 0 < same < len(new.industries)
    assert report.created == rows_of(old) + same
    assert store.counts()["BECAME"] == same
    assert store.vintages() == ["2017", "2022"]
    assert store.taxonomy("2017") == old
    assert store.taxonomy() == store.taxonomy("2022") == new
    report = store.load(retitled(new, "11", "Renamed"))
    assert (report.updated, report.missing) == (1, 1)
    assert store.counts()["BECAME"] == same - 1


def test_only_neighbouring_vintages_are_linked(store: GraphStore) -> None:
    for vintage in ("2012", "2027"):
        store.load(sample(vintage))
    n = len(sample("2012").industries)
    assert store.counts()["BECAME"] == n
    report = store.load(sample("2020"))
    assert report.missing == n
    assert store.counts()["BECAME"] == 2 * n


def test_the_export_is_the_graph_without_validation_entries(store: GraphStore) -> None:
    taxonomy = sample(split=True)
    store.load(sample("2017"))
    store.load(taxonomy)
    graph = store.export_graph("2022")
    usable = {e.key: e for e in taxonomy.entries if e.role is not Role.VALIDATION}
    assert len(usable) < len(taxonomy.entries)
    assert graph.vintage == "2022"
    assert graph.codes == tuple(sorted(i.code for i in taxonomy.industries))
    assert graph.entries == tuple(sorted(usable))
    edges = {
        ("industry", "has_child", "industry"): {
            (i.parent, i.code) for i in taxonomy.industries if i.parent
        },
        ("industry", "excludes", "industry"): {(e.source, e.target) for e in taxonomy.exclusions},
        ("entry", "classified_as", "industry"): {(k, e.code) for k, e in usable.items()},
    }
    names = {"industry": graph.codes, "entry": graph.entries}
    assert graph.edges.keys() == edges.keys()
    for (source, relation, target), pairs in graph.edges.items():
        assert pairs.dtype == np.int64
        found = [(names[source][a], names[target][b]) for a, b in pairs.T]
        assert len(set(found)) == len(found)
        assert set(found) == edges[source, relation, target]


def test_the_version_changes_with_the_vintage_and_only_then(store: GraphStore) -> None:
    store.load(sample())
    versions = [store.graph_version("2022")]
    assert store.export_graph("2022").version == versions[0]
    store.load(sample("2017"))
    assert store.graph_version("2022") == versions[0]
    for changed in (
        without(sample(), "332112"),
        dataclasses.replace(sample(), exclusions=sample().exclusions[1:]),
        dataclasses.replace(sample(), entries=sample().entries[1:]),
        sample(split=True),
    ):
        store.load(changed)
        versions.append(store.graph_version("2022"))
    assert len(set(versions)) == len(versions)
    store.load(sample())
    assert store.graph_version("2022") == versions[0]


def test_what_is_not_loaded_is_an_error_that_says_so(store: GraphStore) -> None:
    store.migrate()
    with pytest.raises(DatabaseError, match=r"nothing is loaded[^§]*naics-graph load"):
        store.taxonomy()
    store.load(sample("2017"))
    for ask in (store.taxonomy, store.export_graph, store.graph_version):
        with pytest.raises(DatabaseError, match=r"vintage 2022 is not loaded \(there is: 2017\)"):
            ask("2022")


def test_a_newer_schema_is_refused(store: GraphStore, raw_write: Callable[[str], None]) -> None:
    store.load(sample())
    raw_write("CREATE (:Migration {name: '9999_from_the_future'})")
    for ask in (store.migrate, lambda: store.load(sample()), lambda: store.load(sample("2017"))):
        with pytest.raises(DatabaseError, match=r"9999_from_the_future[^§]*upgrade naics-graph"):
            ask()


def test_a_reader_sees_a_load_by_another(store: GraphStore, another: GraphStore) -> None:
    store.load(sample())
    assert another.taxonomy() == sample()
    store.load(sample(split=True))
    assert another.taxonomy() == sample(split=True)


def test_progress_reaches_its_total(store: GraphStore) -> None:
    seen: list[tuple[str, int, int]] = []
    store.load(sample(), progress=lambda *step: seen.append(step))
    done = [n for _, n, _ in seen]
    assert done == sorted(done)
    assert seen[-1][1] == seen[-1][2] > 0


KILLED = """
import os, pickle, signal, sys
store, taxonomy = pickle.load(open(sys.argv[1], "rb"))

def progress(what, done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)

store.load(taxonomy, progress=progress)
"""


def test_a_load_that_is_killed_leaves_the_previous_state(store: GraphStore, tmp_path: Path) -> None:
    before, after = sample(split=True), retitled(sample(), "11", "Changed")
    store.load(before)
    info, rows = sample_set(before, "first")
    store.publish(info, rows)
    state = everything(store)
    job = tmp_path / "job.pickle"
    job.write_bytes(pickle.dumps((store, after)))
    done = subprocess.run([sys.executable, "-c", KILLED, str(job)], check=False)
    assert done.returncode == -signal.SIGKILL
    with copy.copy(store) as fresh:
        assert everything(fresh) == state
    store.load(after)
    assert store.taxonomy() == after
    codes, points = store.read_set("first")
    assert dict(zip(codes, points.tolist(), strict=True)) == dict(
        zip(rows.codes, rows.embedding.tolist(), strict=True)
    )
