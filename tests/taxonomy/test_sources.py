"""The whole reader: what a vintage becomes, and what every source must hold to."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from naics_graph.errors import DataError
from naics_graph.taxonomy.bundled.edition import read_bundled
from naics_graph.taxonomy.model import Exclusion, IndexEntry, Industry, Taxonomy
from naics_graph.taxonomy.sources import read_taxonomy
from naics_graph.taxonomy.validate import parent_of, sectors_by_prefix, validate
from tests.taxonomy.books import VINTAGE, Books, small_vintage

COUNTS = {
    "2017": {2: 20, 3: 99, 4: 311, 5: 709, 6: 1057},
    "2022": {2: 20, 3: 96, 4: 308, 5: 689, 6: 1012},
}


@pytest.fixture(params=sorted(COUNTS))
def official(request: pytest.FixtureRequest) -> Taxonomy:
    taxonomy: Taxonomy = request.getfixturevalue(f"taxonomy_{request.param}")
    return taxonomy


def read(folder: Path, books: Books) -> Taxonomy:
    return read_taxonomy(books.write(folder), VINTAGE, None)


def test_a_small_vintage_whole(tmp_path: Path) -> None:
    taxonomy = read(tmp_path, small_vintage())
    sentences = {
        "111110": "Making rye feed--are classified in U.S. Industry 311119, Other.",
        "11111": "Making feed--are classified in Sector 31-33, Factories.",
        "311111": "Establishments primarily engaged in growing rye for dogs are classified in "
        "Industry 11111, Rye.",
        "311119": "Baking--are classified elsewhere.",
    }
    said = {code: (sentence,) for code, sentence in sentences.items()}
    assert taxonomy.industries == (
        Industry("11", "Farms", None, description="Farms grow things."),
        Industry("111", "Crops", "11"),
        Industry("1111", "Grain", "111"),
        Industry("11111", "Rye", "1111", excluded=said["11111"], described_by="111110"),
        Industry(
            "111110",
            "Rye",
            "11111",
            description="This industry grows rye.",
            examples=("Rye farming", "Seed rye growing (e.g., winter rye)"),
            excluded=said["111110"],
        ),
        Industry("31-33", "Factories", None),
        Industry("311", "Food", "31-33"),
        Industry("3111", "Feed", "311"),
        Industry("31111", "Feed", "3111"),
        Industry(
            "311111", "Dog Feed", "31111", description="Feed for dogs.", excluded=said["311111"]
        ),
        Industry("311119", "Other Feed", "31111", excluded=said["311119"]),
    )
    assert taxonomy.exclusions == (
        Exclusion("111110", "311119", sentences["111110"], "Making rye feed"),
        Exclusion("11111", "31-33", sentences["11111"], "Making feed"),
        Exclusion("311111", "11111", sentences["311111"], "Growing rye for dogs"),
    )
    assert [(entry.text, entry.code) for entry in taxonomy.entries] == [
        ("Rye farming, field", "111110"),
        ("Rye farming, winter field and seed production", "111110"),
        ("Dog food manufacturing", "311111"),
        ("Cat food manufacturing", "311119"),
    ]
    assert taxonomy.left_out == {}


def test_parents_come_before_children_however_the_sheet_is_sorted(tmp_path: Path) -> None:
    books = small_vintage()
    books.titles.rows[2:] = books.titles.rows[:1:-1]
    assert read(tmp_path / "a", books) == read(tmp_path / "b", small_vintage())


def test_a_row_more_changes_no_other_key(tmp_path: Path) -> None:
    before = read(tmp_path / "a", small_vintage()).entries
    books = small_vintage()
    books.index.rows.insert(1, [111110, "Winter rye"])
    new, *others = read(tmp_path / "b", books).entries
    assert tuple(others) == before
    assert new.key not in {entry.key for entry in before}


def test_an_entry_that_repeats_another_has_a_key_of_its_own(tmp_path: Path) -> None:
    books = small_vintage()
    books.index.rows += [list(row) for row in books.index.rows[1:3]]
    books.index.rows.append([311119, "Rye farming, field"])
    entries = read(tmp_path, books).entries
    assert len({entry.key for entry in entries}) == len(entries) == 7
    assert len({(entry.code, entry.text) for entry in entries}) == 5


def test_keys_name_vintage_and_source(tmp_path: Path) -> None:
    for entry in read(tmp_path, small_vintage()).entries:
        assert re.fullmatch(r"2031:census:[0-9a-f]{16}", entry.key)


def test_counts_of_a_vintage(official: Taxonomy) -> None:
    assert Counter(i.level for i in official.industries) == COUNTS[official.vintage]
    assert len({entry.key for entry in official.entries}) == len(official.entries)
    assert {i.code for i in official.industries if i.level == 2} >= {"31-33", "44-45", "48-49"}
    for sector, prefixes in {"31-33": "31 32 33", "44-45": "44 45", "48-49": "48 49"}.items():
        children = {i.code[:2] for i in official.industries if i.parent == sector}
        assert children == set(prefixes.split())
    with_entries = {entry.code for entry in official.entries}
    without = {i.code for i in official.industries if i.level == 6} - with_entries
    assert without == {"2017": {"112130", "541120"}, "2022": {"112130", "541120"}}[official.vintage]


def test_reading_twice_gives_the_same(census_dir: Path, taxonomy_2022: Taxonomy) -> None:
    assert read_taxonomy(census_dir, "2022", None, "census") == taxonomy_2022


def test_the_bundled_edition_has_the_tree_of_the_workbooks(official: Taxonomy) -> None:
    bundled = read_taxonomy(None, official.vintage, None)
    assert bundled == read_bundled(official.vintage)
    shape = [(i.code, i.title, i.parent) for i in official.industries]
    assert [(i.code, i.title, i.parent) for i in bundled.industries] == shape


def test_sectors_by_prefix() -> None:
    sectors = sectors_by_prefix(["11", "31-33", "111", "3111"])
    assert sectors == {"11": "11", "31": "31-33", "32": "31-33", "33": "31-33"}
    assert [parent_of(code, sectors) for code in ("31-33", "329", "3291", "329111", "411")] == [
        None,
        "31-33",
        "329",
        "32911",
        "",
    ]


def small() -> Taxonomy:
    return Taxonomy(
        "2031",
        (
            Industry("31-33", "Factories", None, excluded=("A.",)),
            Industry("321", "Wood", "31-33"),
            Industry("3211", "Mills", "321"),
            Industry("32111", "Mills", "3211", described_by="321110"),
            Industry("321110", "Mills", "32111", description="Mills saw."),
        ),
        (Exclusion("31-33", "321110", "A.", "A"),),
        (IndexEntry("2031:a", "Sawmills", "321110"), IndexEntry("2031:b", "Mills", "321110")),
    )


def with_industry(at: int, **changes: object) -> Taxonomy:
    taxonomy = small()
    changed = dataclasses.replace(taxonomy.industries[at], **changes)  # type: ignore[arg-type]
    industries = (*taxonomy.industries[:at], changed, *taxonomy.industries[at + 1 :])
    return dataclasses.replace(taxonomy, industries=industries)


def with_entry(**changes: object) -> Taxonomy:
    taxonomy = small()
    changed = dataclasses.replace(taxonomy.entries[1], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(taxonomy, entries=(taxonomy.entries[0], changed))


def with_exclusion(**changes: object) -> Taxonomy:
    taxonomy = small()
    changed = dataclasses.replace(taxonomy.exclusions[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(taxonomy, exclusions=(changed,))


def test_a_valid_taxonomy_passes_unchanged() -> None:
    taxonomy = small()
    assert validate(taxonomy, "test") is taxonomy


@pytest.mark.parametrize(
    ("taxonomy", "saw"),
    [
        (dataclasses.replace(small(), industries=()), "no codes"),
        (dataclasses.replace(small(), industries=small().industries[::-1]), "before, its parent"),
        (dataclasses.replace(small(), industries=small().industries[1:]), "321 stands under 31-33"),
        (dataclasses.replace(small(), industries=small().industries[:2] * 2), "31-33 occurs twice"),
        (with_industry(1, code="3A1"), "'3A1' is no code"),
        (with_industry(1, parent=None), "321 stands under None"),
        (with_industry(4, parent="3211"), "321110 stands under 3211"),
        (with_industry(0, title=" "), "31-33 has no title"),
        (with_industry(1, examples=("a", "")), "321 has a blank"),
        (with_industry(1, excluded=(" ",)), "321 has a blank"),
        (with_industry(1, description=" Wood."), "description of 321 starts or ends"),
        (with_industry(3, described_by="321119"), "32111 points to 321119"),
        (with_industry(3, described_by="32111"), "32111 points to 32111"),
        (with_industry(3, description="Mills."), "32111 has a description and points"),
        (with_entry(key="2031:a"), "'2031:a' occurs twice"),
        (with_entry(key="2022:b"), "'2022:b' occurs twice or is not of this vintage"),
        (with_entry(code="32111"), "32111, no six-digit code"),
        (with_entry(code="321119"), "321119, no six-digit code"),
        (with_entry(text=""), "'2031:b' is blank"),
        (with_exclusion(target="999999"), "999999, which does not exist"),
        (with_exclusion(source="99"), "99, which does not exist"),
        (with_exclusion(target="31-33"), "31-33 excludes itself"),
        (with_exclusion(text="B."), "no sentence of its texts"),
    ],
)
def test_what_no_source_may_give(taxonomy: Taxonomy, saw: str) -> None:
    with pytest.raises(DataError) as caught:
        validate(taxonomy, "the place")
    assert saw in caught.value.saw
    assert caught.value.where == "NAICS 2031, the place"
    assert caught.value.do
