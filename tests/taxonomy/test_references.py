"""Cross-references resolved to the codes they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from naics_graph.taxonomy.census import read_workbooks
from naics_graph.taxonomy.model import Taxonomy, level_of
from naics_graph.taxonomy.references import (
    clause_of,
    clean_sentence,
    named_codes,
    resolve,
)


@pytest.mark.parametrize(
    ("sentence", "codes"),
    [
        ("X--are classified in Industry 111110, Soybean Farming.", ["111110"]),
        ("X--are classified in U.S. Industry 111191, Combination.", ["111191"]),
        ("X--are classified in Industry Group 2361, A, or Industry Group 2362.", ["2361", "2362"]),
        ("X--are classified in Sector 42, A, or in Sector 44-45, Retail Trade.", ["42", "44-45"]),
        ("X--are classified in Sector 31-33, Manufacturing.", ["31-33"]),
        ("X are classified in Industry 62111, A; Industry 621210, B; and Industry Group 6213, C.",
         ["62111", "621210", "6213"]),
        ("X are classified in Subsectors 423, 424, and 425.", ["423", "424", "425"]),
        ("X are classified in Industries 11311 and 11321, respectively.", ["11311", "11321"]),
        ("X (i.e., cycle of 10 years)--are classified in Industry 11311, T.", ["11311"]),
        ("X in Industry 11311--are classified in Industry 11311.", ["11311"]),
        ("X since 2022 are classified elsewhere in this industry.", []),
        ("X are classified in Industry 1131111, none.", []),
    ],
)  # fmt: skip
def test_codes_a_sentence_names(sentence: str, codes: list[str]) -> None:
    assert named_codes(sentence) == codes


@pytest.mark.parametrize(
    ("sentence", "clause"),
    [
        ("Growing soybeans--are classified in Industry 111110.", "Growing soybeans"),
        ("Coating, etc.--are  classified in Industry 111110.", "Coating, etc."),
        ("Cutting--are lclassified in Industry 111110.", "Cutting"),
        ("Making parts--are generally classified in X.", "Making parts"),
        ("Establishments primarily engaged in growing rye are classified in X.", "Growing rye"),
        ("Establishment primarily engaged in growing rye is classified in X.", "Growing rye"),
        ("Clubs, such as A, B, and C, are classified in X.", "Clubs, such as A, B, and C"),
        ("Establishments of lawyers are classified in X.", "Establishments of lawyers"),
        ("Publishing of classified ads--are classified in X.", "Publishing of classified ads"),
        ("Nothing to say.", ""),
    ],
)
def test_the_clause_is_the_activity_alone(sentence: str, clause: str) -> None:
    assert clause_of(sentence) == clause


@pytest.mark.parametrize(
    "cell",
    [
        "Growing rye--are classified in Industry 1.",
        "Growing rye--are classified in Industry 1; and",
        "Growing rye--are classified in Industry 1;",
        "Growing  rye--are classified in Industry 1; or \r\n",
        "Growing rye--are classified in Industry 1 ",
    ],
)
def test_a_sentence_ends_as_one(cell: str) -> None:
    assert clean_sentence(cell) == "Growing rye--are classified in Industry 1."


def test_a_sentence_that_ends_with_a_name_keeps_it() -> None:
    assert clean_sentence("A--are classified in X, Sand and") == "A--are classified in X, Sand and."


def test_resolving_keeps_codes_that_exist_and_do_not_hold_the_source() -> None:
    codes = {"31-33", "32", "321", "32111", "42", "423"}
    text = "A--are classified in Subsector 321, Industry 99999, Sector 42 and Sector 31-33."
    assert [e.target for e in resolve("32111", text, codes)] == ["42"]
    assert [e.target for e in resolve("423", text, codes)] == ["321", "31-33"]
    (exclusion,) = resolve("32111", text, codes)
    assert (exclusion.source, exclusion.text, exclusion.clause) == ("32111", text, "A")


def test_all_rows_of_2022(census_dir: Path, taxonomy_2022: Taxonomy) -> None:
    """Against a reading of its own: every number in a row that is a code, but for `10 years`."""
    codes = {industry.code for industry in taxonomy_2022.industries}
    rows = read_workbooks(census_dir, "2022").references.rows
    assert len(rows) == 4601
    named = [
        (cells.code, number)
        for cells in rows
        for number in dict.fromkeys(re.findall(r"\d[\d-]*\d", cells.text))
        if number in codes
    ]
    assert len(named) == 4563
    parts = {industry.code: industry.parent for industry in taxonomy_2022.industries}
    elsewhere = []
    for source, target in named:
        above: str | None = source
        while above not in (target, None):
            above = parts[str(above)]
        if above is None:
            elsewhere.append((source, target))
    assert [(e.source, e.target) for e in taxonomy_2022.exclusions] == elsewhere
    assert len(elsewhere) == 4555
    # 68 rows name no code ("are classified elsewhere"), 8 only a code above their own.
    led = {(exclusion.source, exclusion.text) for exclusion in taxonomy_2022.exclusions}
    said = [(i.code, sentence) for i in taxonomy_2022.industries for sentence in i.excluded]
    assert len(said) == 4601
    assert sum(one not in led for one in said) == 76


def test_every_exclusion_of_2022_says_what_and_where(taxonomy_2022: Taxonomy) -> None:
    for exclusion in taxonomy_2022.exclusions:
        assert exclusion.clause
        assert "classified in" not in exclusion.clause
        assert exclusion.target not in exclusion.clause
        assert exclusion.text.count(exclusion.clause[1:]) >= 1
    levels = {level_of(exclusion.target) for exclusion in taxonomy_2022.exclusions}
    assert levels == {2, 3, 4, 5, 6}
