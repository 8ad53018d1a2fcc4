"""Workbooks read as openpyxl reads them, and every way in which they can be wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openpyxl
import pytest

from naics_graph.errors import DataError
from naics_graph.taxonomy.census import layouts, read_workbooks, workbook_names
from naics_graph.taxonomy.sources import read_taxonomy
from tests.taxonomy.books import VINTAGE, Books, Mutation, small_vintage

CODES, DESCRIPTIONS, INDEX, REFERENCES = workbook_names(VINTAGE)


def refusal(folder: Path, vintage: str = VINTAGE) -> DataError:
    with pytest.raises(DataError) as caught:
        read_taxonomy(folder, vintage, None)
    assert caught.value.exit_code == 3
    assert caught.value.do
    return caught.value


@pytest.mark.parametrize("vintage", ["2017", "2022"])
def test_rows_are_those_another_reader_sees(census_dir: Path, vintage: str) -> None:
    books = read_workbooks(census_dir, vintage)
    sheets = (books.titles, books.descriptions, books.index, books.references)
    for sheet, layout in zip(sheets, layouts(vintage), strict=True):
        with closing(openpyxl.load_workbook(sheet.path, read_only=True)) as book:
            header, *rows = book[layout.sheet].iter_rows(values_only=True)
        names = [" ".join(str(name).split()) for name in header]
        code_at, text_at = names.index(layout.code), names.index(layout.text)
        expected = [
            (number, str(row[code_at]), row[text_at])
            for number, row in enumerate(rows, start=2)
            if row[code_at] is not None
        ]
        assert [(cells.row, cells.code, cells.text) for cells in sheet.rows] == expected


@pytest.mark.parametrize("place", [".", VINTAGE])
def test_the_folder_may_hold_the_files_or_a_folder_of_the_vintage(
    tmp_path: Path, place: str
) -> None:
    small_vintage().write(tmp_path / place)
    assert len(read_taxonomy(tmp_path, VINTAGE, None).industries) == 11


def test_a_vintage_nobody_has_seen_needs_no_code(tmp_path: Path) -> None:
    small_vintage("2047").write(tmp_path)
    assert read_taxonomy(tmp_path, "2047", None).vintage == "2047"


def test_rows_may_stand_lower_and_columns_elsewhere(tmp_path: Path) -> None:
    books = small_vintage()
    for row in books.index.rows:
        row.reverse()
    books.titles.rows.insert(6, [None])
    books.write(tmp_path)
    expected = read_taxonomy(small_vintage().write(tmp_path / "plain"), VINTAGE, None)
    assert read_taxonomy(tmp_path, VINTAGE, None) == expected


def rename_sheet(books: Books) -> None:
    books.references.sheet = "Sheet1"


def rename_column(books: Books) -> None:
    books.descriptions.rows[0][2] = "Text"


def drop_column(books: Books) -> None:
    books.index.rows = [row[1:] for row in books.index.rows]


def other_year_in_sheet(books: Books) -> None:
    books.index.sheet = books.index.sheet.replace(VINTAGE, "2026")


def other_year_in_column(books: Books) -> None:
    books.index.rows[0][0] = "NAICS26"


def other_year_in_title_column(books: Books) -> None:
    books.titles.rows[0][2] = "2026 NAICS US Title"


def no_rows(books: Books) -> None:
    books.references.rows = books.references.rows[:1]


def blank_row_above(books: Books) -> None:
    books.index.rows.insert(0, [None])


def empty_sheet(books: Books) -> None:
    books.references.rows = []


def put(book: str, row: int, column: int, value: object) -> Mutation:
    """Write a value into a cell; row as Excel counts, column from 0."""

    def mutate(books: Books) -> None:
        getattr(books, book).rows[row - 1][column] = value

    mutate.__name__ = f"{book}_{row}_{value!r}"
    return mutate


def add(book: str, *row: object) -> Mutation:
    """Append a row."""

    def mutate(books: Books) -> None:
        getattr(books, book).rows.append(list(row))

    mutate.__name__ = f"{book}_{row!r}"
    return mutate


S_CODES, S_DESCRIPTIONS, S_INDEX, S_REFERENCES = (layout.sheet for layout in layouts(VINTAGE))


@pytest.mark.parametrize(
    ("mutate", "where", "saw"),
    [
        (rename_sheet, (REFERENCES,), (S_REFERENCES, "Sheet1")),
        (rename_column, (DESCRIPTIONS, S_DESCRIPTIONS, "row 1"), ("Description", "text")),
        (drop_column, (INDEX, S_INDEX, "row 1"), ("NAICS31",)),
        (other_year_in_sheet, (INDEX, "2026NAICS"), ("NAICS 2026, not 2031",)),
        (other_year_in_column, (INDEX, "naics26"), ("NAICS 26, not 31",)),
        (other_year_in_title_column, (CODES, "2026 naics us title"), ("NAICS 2026, not 2031",)),
        (no_rows, (REFERENCES, S_REFERENCES), ("no rows",)),
        (blank_row_above, (INDEX, S_INDEX, "row 1"), ("NAICS31", "none")),
        (empty_sheet, (REFERENCES, S_REFERENCES, "row 1"), ("none",)),
        (put("titles", 4, 1, "11A"), (CODES, S_CODES, "row 4"), ("'11A'", "no hierarchy")),
        (put("titles", 4, 1, 1111111), (CODES, S_CODES, "row 4"), ("1111111", "no hierarchy")),
        (put("titles", 4, 1, 7), (CODES, S_CODES, "row 4"), ("'7'", "no hierarchy")),
        (put("titles", 5, 1, 111), (CODES, S_CODES, "row 5"), ("111", "second", "row 4")),
        (put("titles", 5, 1, 1112), (CODES, S_CODES, "row 6"), ("11111", "orphan", "1111")),
        (put("titles", 9, 1, 411), (CODES, S_CODES, "row 9"), ("411", "orphan", "sector 41")),
        (put("titles", 4, 2, None), (CODES, S_CODES, "row 4"), ("111", "no title")),
        (put("titles", 4, 2, 12.5), (CODES, S_CODES, "row 4"), ("12.5", "float", "a text")),
        (put("titles", 4, 1, 11.5), (CODES, S_CODES, "row 4"), ("11.5", "float", "a code")),
        (put("titles", 4, 1, True), (CODES, S_CODES, "row 4"), ("True", "bool", "a code")),
        (put("titles", 4, 1, None), (CODES, S_CODES, "row 4"), ("blank", "a code")),
        (put("descriptions", 3, 0, 999), (DESCRIPTIONS, "row 3"), ("999", "not among")),
        (put("descriptions", 3, 0, 11), (DESCRIPTIONS, "row 3"), ("11", "second time")),
        (put("descriptions", 3, 2, 5), (DESCRIPTIONS, "row 3"), ("5.0", "a text")),
        (
            put("descriptions", 4, 2, "See industry description for 111999."),
            (DESCRIPTIONS, "row 4"),
            ("11111", "points to 111999"),
        ),
        (
            put("descriptions", 4, 2, "See industry description for 11111."),
            (DESCRIPTIONS, "row 4"),
            ("11111", "no other code"),
        ),
        (put("index", 3, 0, 111999), (INDEX, S_INDEX, "row 3"), ("111999", "not among")),
        (put("index", 3, 0, 1111), (INDEX, S_INDEX, "row 3"), ("1111", "six digits")),
        (put("index", 3, 1, " "), (INDEX, S_INDEX, "row 3"), ("blank",)),
        (put("references", 2, 0, 999999), (REFERENCES, "row 2"), ("999999", "not among")),
        (put("references", 2, 1, None), (REFERENCES, "row 2"), ("blank",)),
        (add("index", "*****", "Rye -- see grain"), (INDEX, "row 7"), ("'*****'", "not among")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_cells_are_named(
    tmp_path: Path, mutate: Mutation, where: tuple[str, ...], saw: tuple[str, ...]
) -> None:
    books = small_vintage()
    mutate(books)
    error = refusal(books.write(tmp_path))
    assert all(part in error.where for part in where), error
    assert all(part in error.saw for part in saw), error


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def text(path: Path) -> None:
    path.write_text("Code,Cross-Reference\n")


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def hollow(path: Path) -> None:
    shutil.make_archive(str(path.with_suffix("")), "zip", path.parent, "nothing")
    path.with_suffix(".zip").rename(path)


@pytest.mark.parametrize("spoil", [cut, text, nothing, hollow])
def test_a_file_that_is_no_whole_workbook(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    (tmp_path / "nothing").mkdir()
    spoil(small_vintage().write(tmp_path) / REFERENCES)
    error = refusal(tmp_path)
    assert "no complete xlsx" in error.saw
    assert REFERENCES in error.where


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    folder = small_vintage().write(tmp_path)
    (folder / INDEX).unlink()
    (folder / INDEX).mkdir()
    assert INDEX in refusal(folder).saw


@pytest.mark.parametrize("name", workbook_names(VINTAGE))
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (small_vintage().write(tmp_path) / name).unlink()
    error = refusal(tmp_path)
    assert name in error.saw
    assert str(tmp_path) in error.where
    assert f"fetch --vintage {VINTAGE}" in error.do


def test_a_folder_of_another_vintage(tmp_path: Path) -> None:
    small_vintage("2026").write(tmp_path)
    error = refusal(tmp_path)
    assert "2026, none of 2031" in error.saw
    assert "--vintage 2026" in error.do


def test_files_of_another_vintage_under_the_names_of_this_one(tmp_path: Path) -> None:
    """As when somebody renames what was downloaded."""
    old = small_vintage("2026").write(tmp_path)
    for before, after in zip(workbook_names("2026"), workbook_names(VINTAGE), strict=True):
        (old / before).rename(old / after)
    assert "NAICS 2026, not 2031" in refusal(tmp_path).saw


def test_the_official_files_of_2017_are_not_2022(census_dir: Path, tmp_path: Path) -> None:
    assert "none of 2022" in refusal(census_dir / "2017", "2022").saw
    for old, new in zip(workbook_names("2017"), workbook_names("2022"), strict=True):
        shutil.copy(census_dir / "2017" / old, tmp_path / new)
    assert "NAICS 2017, not 2022" in refusal(tmp_path, "2022").saw


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "absent").saw
    assert CODES in refusal(tmp_path).saw
