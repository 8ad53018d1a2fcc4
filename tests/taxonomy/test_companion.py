"""The companion edition: its files, what becomes of them, what they share with the workbooks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from naics_graph.errors import DataError, UsageError
from naics_graph.taxonomy.bundled import companion, complete
from naics_graph.taxonomy.bundled.companion import COLUMNS, Line, parse, read_companion
from naics_graph.taxonomy.bundled.edition import bundled_vintages, companion_of, read_bundled
from naics_graph.taxonomy.bundled.overlap import RUN, overlap, runs
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import EntrySource, Exclusion, Industry, Taxonomy, Texts
from naics_graph.taxonomy.sources import read_taxonomy

HEADER = ",".join(COLUMNS)
FARMS = (
    Industry("11", "Farms", None),
    Industry("111", "Crops", "11"),
    Industry("1111", "Grain", "111"),
    Industry("11111", "Rye", "1111"),
    Industry("111110", "Rye", "11111"),
    Industry("11112", "Oats", "1111"),
    Industry("111120", "Oats", "11112"),
)


def line(code: str, kind: companion.Kind, text: str = "", target: str = "") -> Line:
    return Line(code, kind, text, target, "here")


def given(monkeypatch: pytest.MonkeyPatch, **written: list[Line]) -> None:
    lines = {name.removeprefix("v"): tuple(rows) for name, rows in written.items()}
    for module in (companion, complete):
        monkeypatch.setattr(module, "read_lines", lambda vintage: lines.get(vintage, ()))
    monkeypatch.setattr(complete, "read_titles", lambda _: FARMS)


@pytest.mark.parametrize("vintage", bundled_vintages())
def test_every_code_is_complete(vintage: str) -> None:
    assert list(complete.problems(vintage)) == []
    assert complete.main([vintage]) == 0


@pytest.mark.census
@pytest.mark.parametrize("vintage", bundled_vintages())
def test_nothing_is_taken_from_the_workbooks(census_dir: Path, vintage: str) -> None:
    found = overlap(read_taxonomy(census_dir, vintage, None, "census"))
    assert found.copied == ()
    assert found.phrases > 12_000
    assert found.equal_share < 0.05


def test_a_copied_run_and_an_equal_phrase_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "one two three four five six seven eight"
    given(
        monkeypatch,
        v2022=[
            line("111110", "description", f"Well, {said.title()}."),
            line("111110", "exclusion", said.replace("eight", "nine"), "111120"),
            line("111110", "phrase", "Rye, GROWING"),
            line("111110", "phrase", "rye grown"),
        ],
    )
    official = Taxonomy("2022", (*FARMS[:-1], Industry("111120", "Oats", "11112", said)))
    assert len(list(runs(said))) == 1
    assert len(said.split()) == RUN
    (copied,) = overlap(official).copied
    assert copied.kind == "description"
    entries = companion_of("2022").phrases[:1]
    found = overlap(Taxonomy("2022", official.industries, entries=entries))
    assert (found.equal, found.phrases) == (1, 2)


@pytest.mark.parametrize(
    ("row", "saw"),
    [
        ("111110,description,text", "there are 3 fields"),
        ("111110,story,text,", "the kind is 'story'"),
        ("111110,phrase,,", "the text is ''"),
        ("111110,inherits,text,111120", "the text is 'text'"),
        ("111110,exclusion,text,", "the target is ''"),
        ("111110,phrase,text,111120", "the target is '111120'"),
        ('111110,phrase,"text,', "unexpected end of data"),
    ],
)
def test_a_broken_line_is_named(row: str, saw: str) -> None:
    with pytest.raises(DataError, match=saw) as caught:
        list(parse(f"{HEADER}\n111110,phrase,Rye,\n{row}\n", "11.csv"))
    assert caught.value.where == "11.csv, line 3"


def test_a_wrong_header_is_named() -> None:
    with pytest.raises(DataError, match="the header is code,text") as caught:
        list(parse("code,text\n", "11.csv"))
    assert caught.value.where == "11.csv, line 1"


def test_lines_become_channels_and_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    given(
        monkeypatch,
        v2022=[
            line("11111", "inherits", target="111110"),
            line("111110", "description", "Farms that grow rye."),
            line("111110", "example", "seed rye"),
            line("111110", "exclusion", "Growing oats", "111120"),
            line("111110", "phrase", "we grow rye"),
        ],
    )
    found = read_companion("2022", FARMS)
    assert found.industries["11111"].described_by == "111110"
    assert found.industries["111110"] == Industry(
        "111110", "Rye", "11111", "Farms that grow rye.", ("seed rye",), ("Growing oats",)
    )
    assert found.exclusions == (Exclusion("111110", "111120", "Growing oats", "Growing oats"),)
    (phrase,) = found.phrases
    assert (phrase.text, phrase.code) == ("we grow rye", "111110")
    assert phrase.source is EntrySource.COMPANION
    (description,) = found.descriptions
    assert description.text == "Farms that grow rye."
    assert description.source is EntrySource.COMPANION_DESCRIPTION


def test_a_line_of_an_unknown_code_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, v2022=[line("111110", "exclusion", "Growing corn", "111150")])
    with pytest.raises(DataError, match="no code 111150 in NAICS 2022") as caught:
        read_companion("2022", FARMS)
    assert caught.value.where == "here"


def test_another_vintage_takes_the_lines_of_2022_but_for_kinds_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(
        monkeypatch,
        v2022=[
            line("111110", "description", "New rye."),
            line("111110", "exclusion", "Growing corn", "111150"),
            line("111110", "example", "seed rye"),
            line("11111", "inherits", target="111110"),
            line("111120", "description", "Oats."),
            line("111150", "description", "Corn."),
        ],
        v2017=[
            line("111110", "description", "Old rye."),
            line("11111", "description", "All rye."),
        ],
    )
    found = read_companion("2017", FARMS).industries
    assert found["111110"].description == "Old rye."
    assert found["111110"].excluded == ()
    assert found["111110"].examples == ("seed rye",)
    assert (found["11111"].description, found["11111"].described_by) == ("All rye.", None)
    assert found["111120"].description == "Oats."


def test_what_is_absent_or_misplaced_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    phrases = [line("111110", "phrase", f"rye, sort {i}") for i in range(11)]
    given(
        monkeypatch,
        v2022=[
            *phrases,
            line("111110", "phrase", "oats"),
            line("111120", "phrase", "Oats!"),
            line("111110", "description", "One sentence."),
            line("111120", "inherits", target="111110"),
            line("11112", "exclusion", "Rye", "11112"),
            line("11112", "phrase", "oats of all sorts"),
            line("999999", "phrase", "nothing"),
        ],
    )
    found = "\n".join(complete.problems("2022"))
    for saw in (
        "here: there is no code 999999",
        "here: 111110 is no single child below 111120",
        "here: 11112 is its own target",
        "here: phrase of 11112, which has not six digits",
        "here: the phrase of 111120 stands in here already",
        "1111: 0 descriptions, not one",
        "1111: no exclusion",
        "111110: the description has 1 sentences (here)",
        "111110: no exclusion",
        "111110: 0 examples, not 4 to 8",
    ):
        assert saw in found
    assert "111110: 12 phrases" not in found
    assert complete.main(["2022"]) == 3


def test_texts_side_by_side(census_dir: Path) -> None:
    both = read_taxonomy(census_dir, "2022", None)
    census = read_taxonomy(census_dir, "2022", None, "census")
    assert both.industries == census.industries
    assert both.exclusions == census.exclusions
    sources = Counter(entry.source for entry in both.entries)
    assert sources == {
        EntrySource.CENSUS: len(census.entries),
        EntrySource.COMPANION: len(read_bundled().entries),
        EntrySource.COMPANION_DESCRIPTION: 1012,
    }
    asked = Counter(text.source for text in labelled_texts(both))
    assert asked["phrase"] == sources[EntrySource.COMPANION]
    assert asked["description"] > 1012


def test_companion_texts_beside_a_split(census_dir: Path, roles_file: Path) -> None:
    taxonomy = read_taxonomy(census_dir, "2022", roles_file, "companion")
    evaluated = [entry for entry in taxonomy.entries if entry.evaluated]
    assert len(evaluated) == 4042
    assert {e.source for e in taxonomy.entries if not e.evaluated} == {EntrySource.COMPANION}
    bundled = read_bundled()
    left_out = taxonomy.left_out
    assert len(taxonomy.entries) == 4042 + len(bundled.entries) - left_out["phrase"]
    assert 0 < left_out["phrase"] < 0.05 * len(bundled.entries)


@pytest.mark.parametrize(
    ("source", "roles", "texts"),
    [
        (None, None, "census"),
        (None, None, "both"),
        (None, Path("roles.csv"), None),
        (Path("books"), None, "companion"),
    ],
)
def test_texts_without_what_they_need(
    source: Path | None, roles: Path | None, texts: Texts | None
) -> None:
    with pytest.raises(UsageError, match=r"split|companion"):
        read_taxonomy(source, "2022", roles, texts)
