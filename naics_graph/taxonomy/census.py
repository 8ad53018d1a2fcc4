"""The four official workbooks of a vintage: found in a folder, checked cell by cell, read as rows.

Nothing here knows a particular vintage: names of files, sheets and columns follow from its year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from python_calamine import CalamineError, CalamineWorkbook

from naics_graph.errors import DataError


@dataclass(frozen=True, slots=True)
class Layout:
    """Name of a workbook, its sheet, and its columns of codes and of texts."""

    file: str
    sheet: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Cells:
    """One row: its number in the sheet (the header is 1), its code, its text ("" if blank)."""

    row: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of one workbook, and where they were read."""

    path: Path
    name: str
    rows: tuple[Cells, ...]

    def refuse(self, cells: Cells, saw: str, do: str) -> NoReturn:
        """Raise the DataError of one row."""
        raise DataError(saw, where=_where(self.path, self.name, cells.row), do=do)


@dataclass(frozen=True, slots=True)
class Workbooks:
    """A vintage as published: codes with titles, descriptions, index entries, cross-references."""

    vintage: str
    folder: Path
    titles: Sheet
    descriptions: Sheet
    index: Sheet
    references: Sheet


def layouts(vintage: str) -> tuple[Layout, Layout, Layout, Layout]:
    """The workbooks of titles, descriptions, index and cross-references of a vintage."""
    return (
        Layout(
            f"2-6 digit_{vintage}_Codes.xlsx",
            f"tbl_{vintage}_title_description_coun",
            f"{vintage} NAICS US Code",
            f"{vintage} NAICS US Title",
        ),
        Layout(
            f"{vintage}_NAICS_Descriptions.xlsx",
            f"{vintage}_NAICS_Descriptions",
            "Code",
            "Description",
        ),
        Layout(
            f"{vintage}_NAICS_Index_File.xlsx",
            f"{vintage}NAICS",
            f"NAICS{vintage[-2:]}",
            "INDEX ITEM DESCRIPTION",
        ),
        Layout(
            f"{vintage}_NAICS_Cross_References.xlsx",
            f"{vintage}_NAICS_Cross_References",
            "Code",
            "Cross-Reference",
        ),
    )


def workbook_names(vintage: str) -> tuple[str, ...]:
    """File names of a vintage, as published."""
    return tuple(layout.file for layout in layouts(vintage))


def read_workbooks(folder: Path, vintage: str) -> Workbooks:
    """Read the workbooks in `folder`, or in its subfolder named after the vintage.

    Raises:
        DataError: no such folder, a file, sheet or column that is missing or of another vintage, a
            file that is no whole workbook, a cell of the wrong type, a text without a code.
    """
    place = _find(folder, vintage)
    sheets = (_read(place / layout.file, layout, vintage) for layout in layouts(vintage))
    return Workbooks(vintage, place, *sheets)


def _find(folder: Path, vintage: str) -> Path:
    if not folder.is_dir():
        raise DataError(
            "there is no such folder",
            where=str(folder),
            do="name a folder with the workbooks by --source DIR",
        )
    names = workbook_names(vintage)
    for place in (folder, folder / vintage):
        found = [name for name in names if (place / name).is_file()]
        missing = [name for name in names if name not in found]
        if found and missing:
            raise DataError(
                f"of the four workbooks of NAICS {vintage} there is no {', '.join(missing)}",
                where=str(place),
                do=f"put it there, or run `naics-graph fetch --vintage {vintage}`",
            )
        if found:
            return place
    others = _vintages_in(folder)
    if others:
        raise DataError(
            f"the folder holds workbooks of NAICS {', '.join(others)}, none of {vintage}",
            where=str(folder),
            do=f"say --vintage {others[-1]}, or name the folder of {vintage}",
        )
    raise DataError(
        f"the folder holds no workbook of NAICS {vintage} (expected {', '.join(names)})",
        where=str(folder),
        do=f"put the four there under these names, or run `naics-graph fetch --vintage {vintage}`",
    )


def _vintages_in(folder: Path) -> list[str]:
    years = {
        year
        for path in folder.rglob("*.xlsx")
        for year in re.findall(r"(?<!\d)(?:19|20)\d{2}(?!\d)", path.name)
        if path.name in workbook_names(year)
    }
    return sorted(years)


def _read(path: Path, layout: Layout, vintage: str) -> Sheet:
    try:
        book = CalamineWorkbook.from_path(path)
        name = _sheet_name(path, book.sheet_names, layout, vintage)
        # Without the empty area rows would not be numbered as Excel numbers them.
        grid = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except OSError as error:
        raise DataError(
            f"the workbook cannot be read: {error}",
            where=str(path),
            do="check that it is a file you may read",
        ) from error
    except CalamineError as error:
        raise DataError(
            f"the file is no complete xlsx workbook ({error})",
            where=str(path),
            do=f"get it again: `naics-graph fetch --vintage {vintage}` checks what it brings",
        ) from error
    rows = tuple(_rows(path, name, grid, layout, vintage))
    if not rows:
        raise DataError(
            "the sheet has no rows below its header",
            where=_where(path, name),
            do=f"get the file again, e.g. by `naics-graph fetch --vintage {vintage}`",
        )
    return Sheet(path, name, rows)


def _sheet_name(path: Path, names: list[str], layout: Layout, vintage: str) -> str:
    by_name = {_plain(name): name for name in names}
    if _plain(layout.sheet) in by_name:
        return by_name[_plain(layout.sheet)]
    _refuse_other_vintage(path, f"sheet {names[0]!r}", names[0], layout.sheet, vintage)
    raise DataError(
        f"there is no sheet {layout.sheet!r}; there is {', '.join(map(repr, names))}",
        where=str(path),
        do="name the sheet as published, or get the file again",
    )


def _rows(
    path: Path, sheet: str, grid: Sequence[Sequence[Any]], layout: Layout, vintage: str
) -> Iterator[Cells]:
    header = [_plain(cell) for cell in grid[0]] if grid else []
    code_at = _column(path, sheet, header, layout.code, vintage)
    text_at = _column(path, sheet, header, layout.text, vintage)
    for number, row in enumerate(grid[1:], start=2):
        code, text = row[code_at], row[text_at]
        if code != "" or text != "":
            yield Cells(
                number,
                _code(code, path, sheet, number, layout.code),
                _text(text, path, sheet, number, layout.text),
            )


def _column(path: Path, sheet: str, header: list[str], name: str, vintage: str) -> int:
    if _plain(name) in header:
        return header.index(_plain(name))
    for found in header:
        _refuse_other_vintage(path, f"sheet {sheet!r}, column {found!r}", found, name, vintage)
    raise DataError(
        f"there is no column {name!r}; there is {', '.join(filter(None, header)) or 'none'}",
        where=_where(path, sheet, 1),
        do="name the column as published, or get the file again",
    )


def _refuse_other_vintage(path: Path, at: str, found: str, wanted: str, vintage: str) -> None:
    """Raise if `found` is `wanted` but for its year."""
    for year in (vintage, vintage[-2:]):
        head, has_year, tail = _plain(wanted).partition(year)
        other = re.fullmatch(
            rf"{re.escape(head)}(\d{{{len(year)}}}){re.escape(tail)}", _plain(found)
        )
        if has_year and other is not None and other[1] != year:
            raise DataError(
                f"the workbook is of NAICS {other[1]}, not {year}",
                where=f"{path}, {at}",
                do=f"put the file of {vintage} there, or say --vintage",
            )


def _code(cell: Any, path: Path, sheet: str, number: int, column: str) -> str:
    # Excel keeps every number as a float; True is an int to Python.
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, str) and cell.strip():
        return cell.strip()
    raise _wrong_cell(cell, "a code", path, sheet, number, column)


def _text(cell: Any, path: Path, sheet: str, number: int, column: str) -> str:
    if isinstance(cell, str):
        return cell
    raise _wrong_cell(cell, "a text", path, sheet, number, column)


def _wrong_cell(
    cell: Any, wanted: str, path: Path, sheet: str, number: int, column: str
) -> DataError:
    saw = "blank" if cell == "" else f"{cell!r}, a {type(cell).__name__}"
    return DataError(
        f"the cell under {column!r} is {saw}, not {wanted}",
        where=_where(path, sheet, number),
        do="correct the cell, or get the file again",
    )


def _plain(cell: Any) -> str:
    """A name for comparison: white space runs and line ends are one space, case does not count."""
    return " ".join(str(cell).split()).casefold()


def _where(path: Path, sheet: str, row: int | None = None) -> str:
    return f"{path}, sheet {sheet!r}" + ("" if row is None else f", row {row}")
