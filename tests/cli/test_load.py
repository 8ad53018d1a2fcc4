"""`load`, `info`, `sets` and `fetch` on the embedded database."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from naics_graph import connect
from tests.cli.conftest import Run
from tests.store import sample

LOAD_FIELDS = {
    *("schema", "database", "vintage", "codes", "index_entries", "left_out", "exclusions"),
    *("created", "updated", "unchanged", "missing", "seconds"),
}
INFO_FIELDS = {"schema", "database", "vintages", "counts", "migrations", "embedding_sets"}


def test_load_then_info(run: Run, home: Path) -> None:
    first = run("load", "--json")
    assert first.code == 0
    assert first.json.keys() >= LOAD_FIELDS
    assert first.json["schema"] == 1
    assert first.json["index_entries"].keys() == {"companion"}
    assert (first.json["vintage"], first.json["codes"]) == ("2022", 2125)
    assert Path(first.json["database"]).is_relative_to(home)
    assert (first.json["updated"], first.json["unchanged"], first.json["missing"]) == (0, 0, 0)

    again = run("load", "--json", "--quiet")
    assert again.err == ""
    assert (again.json["created"], again.json["updated"]) == (0, 0)
    assert again.json["unchanged"] == first.json["created"]

    info = run("info", "--json")
    assert (info.code, info.err) == (0, "")
    assert info.json.keys() >= INFO_FIELDS
    assert info.json["vintages"] == ["2022"]
    assert info.json["counts"]["Industry"] == 2125
    assert info.json["embedding_sets"] == []
    assert "2125" in run("info").out


def test_two_vintages_live_side_by_side(run: Run) -> None:
    assert run("load", "--vintage", "2017").code == 0
    assert "2125" in run("load", "--vintage", "2022").out
    assert run("info", "--json").json["vintages"] == ["2017", "2022"]


def test_a_dry_run_counts_and_writes_nothing(run: Run) -> None:
    planned = run("load", "--dry-run", "--json")
    assert planned.code == 0
    assert planned.json["dry_run"] is True
    assert planned.json["created"] > 2125
    done = run("load", "--json")
    assert done.json["created"] == planned.json["created"]
    assert done.json["unchanged"] == 0
    assert "would load" in run("load", "--dry-run").out


@pytest.mark.parametrize(
    ("arguments", "code", "saw"),
    [
        (["load", "--vintage", "1997"], 3, "no NAICS 1997"),
        (["load", "--source", "nowhere"], 3, "nowhere"),
        (["load", "--source", "census"], 3, "naics-graph fetch --vintage 2022"),
        (["load", "--source", "census", "--vintage", "../x"], 2, "no vintage"),
        (["load", "--roles", "roles.csv"], 2, "--source DIR"),
        (["load", "--texts", "census"], 2, "--source DIR"),
        (["load", "--texts", "all"], 2, "census, companion, both"),
        (["load", "--source", ".", "--texts", "companion"], 2, "--roles"),
        (["load", "--database", "http://localhost"], 2, "bolt"),
        (["fetch", "--vintage", "22"], 2, "no vintage"),
        (["info", "--database", "none.lbug"], 4, "none.lbug"),
        (["info", "--database", "."], 4, "folder"),
        (["load", "--database", "words.txt"], 4, "words.txt"),
        (["sets", "list"], 4, "naics.lbug"),
        (["info", "--database", "bolt://neo4j:swordfish@localhost"], 2, "NEO4J_PASSWORD"),
    ],
)
def test_mistakes_are_named_with_their_exit_code(
    run: Run, tmp_path: Path, arguments: list[str], code: int, saw: str
) -> None:
    (tmp_path / "words.txt").write_text("no database")
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert saw in outcome.err
    assert "to do:" in outcome.err
    assert "Traceback" not in outcome.err
    assert "swordfish" not in outcome.err
    assert (tmp_path / "words.txt").read_text() == "no database"


def test_an_embedding_set_that_is_not_there(run: Run) -> None:
    run("load")
    listed = run("sets", "list", "--json")
    assert listed.json["embedding_sets"] == []
    assert "naics-graph train" in run("sets", "list").err
    for verb in ("activate", "delete"):
        outcome = run("sets", verb, "nope")
        assert outcome.code == 4
        assert "nope" in outcome.err


def test_sets_are_listed_activated_and_deleted(run: Run) -> None:
    taxonomy = sample.sample()
    with connect() as handle:
        handle.writable_store.load(taxonomy)
        for name, metric in (("first", "mrr"), ("second", "pearson")):
            info, rows = sample.sample_set(taxonomy, name)
            handle.writable_store.publish(dataclasses.replace(info, metrics={metric: 0.5}), rows)
    assert active(run) == {"first": False, "second": True}
    table = run("sets", "list").out
    assert all(word in table for word in ("first", "inactive", "mrr", "pearson", "0.500"))

    refused = run("sets", "delete", "second")
    assert refused.code == 4
    assert "second" in refused.err
    assert run("sets", "activate", "first", "--json").json == {"schema": 1, "activated": "first"}
    assert active(run) == {"first": True, "second": False}
    deleted = run("sets", "delete", "second")
    assert (deleted.code, deleted.out) == (0, "")
    assert active(run) == {"first": True}
    assert "first" in run("info").out


def active(run: Run) -> dict[str, bool]:
    """Whether each set is the active one, as `info --json` tells."""
    sets = run("info", "--json").json["embedding_sets"]
    assert sets == run("sets", "list", "--json").json["embedding_sets"]
    assert all(one.keys() >= {"id", "status", "dims", "metrics"} for one in sets)
    return {one["id"]: one["status"] == "active" for one in sets}


def test_the_address_in_the_environment_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_URI", "ftp://somewhere")
    outcome = run("info")
    assert outcome.code == 2
    assert "NEO4J_URI" in outcome.err
