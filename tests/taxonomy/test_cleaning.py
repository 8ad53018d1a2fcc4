"""The cleaning rules: each on a cell of its shape, and on all real cells."""

from __future__ import annotations

import functools
import re
from contextlib import closing
from pathlib import Path

import openpyxl
import pytest

from naics_graph.taxonomy.census import Workbooks, read_workbooks
from naics_graph.taxonomy.cleaning import (
    SEE_ROW,
    DescriptionParts,
    clean_title,
    one_line,
    split_description,
)
from naics_graph.taxonomy.model import Taxonomy, TaxonomyIndex


@pytest.fixture(params=["2017", "2022"])
def official(request: pytest.FixtureRequest) -> tuple[Workbooks, Taxonomy]:
    """The raw workbooks of a vintage, and what becomes of them."""
    vintage: str = request.param
    taxonomy: Taxonomy = request.getfixturevalue(f"taxonomy_{vintage}")
    return raw(request.getfixturevalue("census_dir"), vintage), taxonomy


@functools.cache
def raw(folder: Path, vintage: str) -> Workbooks:
    return read_workbooks(folder, vintage)


def raw_2022(census_dir: Path, code: str) -> str:
    rows = raw(census_dir, "2022").descriptions.rows
    return next(cells.text for cells in rows if cells.code == code)


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ("Crop ProductionT", "Crop Production"),
        ("Crop ProductionT ", "Crop Production"),
        ("Farming (except Rice)T", "Farming (except Rice)"),
        ("International Affairs ", "International Affairs"),
        ("Cattle\u00a0Ranching \u00a0", "Cattle Ranching"),
        ("Making of IT", "Making of IT"),
        ("TNT", "TNT"),
        ("Tents", "Tents"),
    ],
)
def test_titles(cell: str, title: str) -> None:
    assert clean_title(cell) == title


def test_titles_of_the_description_sheet_are_those_of_the_codes(
    census_dir: Path, taxonomy_2022: Taxonomy
) -> None:
    """That sheet writes them with the mark: cleaned, the two lists of the Bureau agree."""
    path = raw(census_dir, "2022").descriptions.path
    with closing(openpyxl.load_workbook(path, read_only=True)) as book:
        _, *rows = book.worksheets[0].iter_rows(values_only=True)
    marked = {str(code): str(title) for code, title, _ in rows}
    assert sum(title.rstrip().endswith("T") for title in marked.values()) == 799
    titles = {industry.code: industry.title for industry in taxonomy_2022.industries}
    assert {code: clean_title(title) for code, title in marked.items()} == titles


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("NULL", DescriptionParts()),
        (" null\r\n", DescriptionParts()),
        ("", DescriptionParts()),
        ("See industry description for 111110.", DescriptionParts(described_by="111110")),
        ("see description for 23611", DescriptionParts(described_by="23611")),
        (
            "See also the description for 111110. It is long.",
            DescriptionParts("See also the description for 111110. It is long."),
        ),
        (
            "The Sector as a Whole\r\n\r\nFarms  grow\tthings.\r\n\r\n\r\nThey do. \n",
            DescriptionParts("Farms grow things.\n\nThey do."),
        ),
        (
            "Grows rye.\n\nIllustrative Examples:\n\nRye farming\t\n Seed rye  growing\n\n\n"
            "Cross-References. Establishments primarily engaged in--",
            DescriptionParts("Grows rye.", ("Rye farming", "Seed rye growing")),
        ),
        (
            "Grows rye.\r\n\r\nIllustrative Examples:\r\n\r\nRye (i.e., \r\nwinter rye)\r\n"
            "Rye\r\nRye\r\n",
            DescriptionParts("Grows rye.", ("Rye (i.e., winter rye)", "Rye")),
        ),
        ("Grows rye.\nCross-references.  Establishments--", DescriptionParts("Grows rye.")),
        (
            "Grows_x000D_\nrye._x000D_\n_x000D_\nIt does.",
            DescriptionParts("Grows\nrye.\n\nIt does."),
        ),
        (
            "It is about cross-references.\nIt has illustrative examples: none.",
            DescriptionParts("It is about cross-references.\nIt has illustrative examples: none."),
        ),
        (
            "Such as:\n<table width=100%><tr><td width=10%> </td><td><dl>"
            "<dt style='text-indent: -10px;'>Milk<br/> bottling;</dt><dt>Salt &amp; ice.</dt>"
            "</dl></td></tr></table>\nAnd so on.",
            DescriptionParts("Such as:\n\nMilk bottling;\n\nSalt & ice.\n\nAnd so on."),
        ),
    ],
)
def test_descriptions(cell: str, parts: DescriptionParts) -> None:
    assert split_description(cell) == parts


def test_examples_without_an_end_of_their_parenthesis_are_kept() -> None:
    assert split_description("A.\nIllustrative Examples:\nRye (winter").examples == ("Rye (winter",)


def test_no_mark_of_the_page_is_left(official: tuple[Workbooks, Taxonomy]) -> None:
    _, taxonomy = official
    for industry in taxonomy.industries:
        texts = (industry.title, industry.description, *industry.examples, *industry.excluded)
        for text in texts:
            assert not re.search(r"[<>\r\t\u00a0]|_x000D_|&\w+;| {2}|^\s|\s$", text), text
        assert not re.search(
            r"(?i)^(null|see industry|cross-ref|illustrative)", industry.description
        )
        assert "\n" not in "".join((industry.title, *industry.examples, *industry.excluded))


def test_every_word_of_a_description_is_kept_but_the_sections(
    official: tuple[Workbooks, Taxonomy],
) -> None:
    """Independent of the rules: cut the raw cell at its headings, compare the words."""
    books, taxonomy = official
    by_code = {industry.code: industry for industry in taxonomy.industries}
    for cells in books.descriptions.rows:
        cell = re.sub(r"<br/>|</?[a-z]+[^>]*>", " ", cells.text)
        cell = re.split(r"\nCross-[Rr]eferences\.", cell)[0]
        text, _, examples = cell.partition("\nIllustrative Examples:\n")
        words = text.removeprefix("The Sector as a Whole").split()
        industry = by_code[cells.code]
        if industry.described_by is not None or words == ["NULL"]:
            assert (industry.description, industry.examples) == ("", ())
        else:
            assert industry.description.split() == words
            # An example that repeats another comes once.
            assert set(" ".join(industry.examples).split()) == set(examples.split())


def test_pointers_and_nulls(official: tuple[Workbooks, Taxonomy]) -> None:
    books, taxonomy = official
    index = TaxonomyIndex(taxonomy)
    pointers, nulls = {"2017": (530, 155), "2022": (522, 154)}[taxonomy.vintage]
    pointing = [industry for industry in taxonomy.industries if industry.described_by is not None]
    assert len(pointing) == pointers
    for industry in pointing:
        assert len(index.children[industry.code]) == 1
        assert industry.described_by in index.twins(industry.code)
        assert index.by_code[str(industry.described_by)].description
    text = {cells.code: cells.text for cells in books.descriptions.rows}
    empty = [i for i in taxonomy.industries if not i.description and i.described_by is None]
    assert len(empty) == nulls
    assert {(len(i.code), text[i.code]) for i in empty} == {(4, "NULL")}


def test_the_table_of_manufacturing_becomes_lines(census_dir: Path) -> None:
    cell = raw_2022(census_dir, "31-33")
    assert cell.count("<dt ") == 17
    lines = split_description(cell).text.split("\n")
    assert {"Milk bottling and pasteurizing;", "Lapidary work for the trade;"} <= set(lines)
    assert "Fresh fish packaging (oyster shucking, fish filleting);" in lines


def test_an_example_broken_in_its_parenthesis_is_one(census_dir: Path) -> None:
    """Row 713990 of 2017."""
    rows = raw(census_dir, "2017").descriptions.rows
    cell = next(cells.text for cells in rows if cells.code == "713990")
    assert re.search(r"\(i\.e\., \n", cell)
    assert any(
        text.endswith("(i.e., supplying and servicing in others’ facilities)")
        for text in split_description(cell).examples
    )


def test_see_rows_leave_the_index(official: tuple[Workbooks, Taxonomy]) -> None:
    books, taxonomy = official
    rows = books.index.rows
    see = [cells for cells in rows if cells.code == SEE_ROW]
    assert see == list(rows[-25:])
    assert all(" -- see " in cells.text for cells in see)
    counts = (len(taxonomy.entries), len({entry.code for entry in taxonomy.entries}))
    assert counts == {"2017": (20057, 1055), "2022": (20373, 1010)}[taxonomy.vintage]
    assert len(taxonomy.entries) == len(rows) - 25


def test_one_line() -> None:
    assert one_line(" a\u00a0 b\r\nc_x000D_\nd\t") == "a b c d"
