"""`search`, `similar` and `query` as a shell sees them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from naics_graph.cli import main
from naics_graph.search.catalogue import hybrid_queries
from tests.search.world import CODE, World


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An environment without runs and without a server."""
    monkeypatch.setenv("NAICS_GRAPH_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("NEO4J_URI", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.usefixtures("shell")
def test_similar_prints_one_json_object(
    world_file: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("similar", CODE, "--limit", "3", "--database", world_file, "--json")
    code, out, err = run(*arguments, capsys=capsys)
    answer: dict[str, Any] = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["schema"] == 1
    assert answer["code"] == CODE
    assert len(answer["results"]) == 3
    first = answer["results"][0]
    assert list(first) == ["rank", "code", "title", "level", "score", "distance", "path", "why"]
    assert [step["code"] for step in first["path"]] == world.index.path(first["code"])
    assert set(first["path"][0]) == {"code", "title"}


@pytest.mark.usefixtures("shell")
def test_similar_takes_level_and_within(
    world_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("similar", CODE, "--level", "all", "--within", "1111", "--json")
    code, out, _ = run(*arguments, "--database", world_file, capsys=capsys)
    found = {hit["code"] for hit in json.loads(out)["results"]}
    assert code == 0
    assert found == {"1111", "11111", "111111", "11112", "111120"}


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("search", ""), 2, "empty"),
        (("search", "a\x07b"), 2, "U+0007"),
        (("search", "dog grooming"), 6, "naics-graph train"),
        (("search", "dog", "--limit", "0"), 2, "--limit"),
        (("search", "dog", "--level", "nine"), 2, "2, 3, 4, 5, 6 or all"),
        (("similar", "999999"), 2, "no code"),
        (("similar", CODE, "--level", "9"), 2, "2 (sectors)"),
        (("similar", CODE, "--within", "99"), 2, "no code"),
        (("similar", CODE, "--vintage", "1900"), 2, "2017, 2022"),
        (("query",), 2, "siblings"),
        (("query", "sibling"), 2, "siblings"),
        (("query", "siblings", "--param", "cod=1"), 2, "code="),
        (("query", "siblings", "--param", "limit=x"), 2, "limit="),
    ],
)
def test_a_mistake_ends_with_its_code_a_remedy_and_no_traceback(
    world_file: str,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    exit_code: int,
    said: str,
) -> None:
    code, out, err = run(*arguments, "--database", world_file, capsys=capsys)
    assert (code, out) == (exit_code, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("shell")
def test_a_text_comes_from_stdin(
    world_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n \n"))
    code, _, err = run("search", "-", "--database", world_file, capsys=capsys)
    assert (code, "empty" in err) == (2, True)
    broken = io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", broken)
    code, _, err = run("search", "-", "--database", world_file, capsys=capsys)
    assert (code, "UTF-8" in err) == (2, True)


@pytest.mark.usefixtures("shell")
def test_query_runs_with_the_newest_vintage_and_says_its_parameters(
    world_file: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("query", "siblings", "-p", "code=44111", "--database", world_file)
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 0
    assert "vintage = 2022, code = 44111" in err
    assert "44112" in out
    code, out, err = run(*arguments, "--json", "--vintage", "2017", capsys=capsys)
    answer = json.loads(out)
    assert answer["parameters"]["vintage"] == "2017"
    assert [row["code"] for row in answer["rows"]] == ["44112"]
    assert world.index.by_code["44112"].title == answer["rows"][0]["title"]


@pytest.mark.usefixtures("shell")
def test_query_lists_and_shows_without_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("query", "--list", "--json", capsys=capsys)
    assert code == 0
    assert [q["name"] for q in json.loads(out)["queries"]] == list(hybrid_queries("ladybug"))
    code, out, _ = run("query", "siblings", "--show", capsys=capsys)
    assert out == hybrid_queries("ladybug")["siblings"].text
    code, out, _ = run("query", "--list", "--database", "bolt://nowhere.invalid", capsys=capsys)
    assert code == 0
    assert "nearest_under" in out
