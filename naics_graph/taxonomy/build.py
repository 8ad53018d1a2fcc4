"""The rows of the official workbooks → one Taxonomy, with the row named when they disagree."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from naics_graph.taxonomy.census import Cells, Sheet, Workbooks
from naics_graph.taxonomy.cleaning import (
    SEE_ROW,
    DescriptionParts,
    clean_title,
    one_line,
    split_description,
)
from naics_graph.taxonomy.model import (
    EntrySource,
    Exclusion,
    IndexEntry,
    Industry,
    Taxonomy,
    entry_key,
    level_of,
)
from naics_graph.taxonomy.references import clean_sentence, resolve
from naics_graph.taxonomy.validate import CODE_FORM, parent_of, sectors_by_prefix

_FIRST_ROW: Final = 2
_AGAIN: Final = "correct the row, or get the four files again, all of one edition"


def build_taxonomy(books: Workbooks) -> Taxonomy:
    """Titles, descriptions, examples, exclusions and index entries of one vintage, cleaned.

    Raises:
        DataError: a code of no form, twice, without its parent, or without a title; a row that
            names a code the titles lack; a blank text; a description that points nowhere.
    """
    titles = _titles(books.titles)
    sectors = sectors_by_prefix(titles)
    descriptions = _descriptions(books.descriptions, titles)
    sentences, exclusions = _references(books.references, titles)
    return Taxonomy(
        vintage=books.vintage,
        industries=tuple(
            Industry(
                code=code,
                title=title,
                parent=parent_of(code, sectors),
                description=descriptions[code].text,
                examples=descriptions[code].examples,
                excluded=tuple(sentences[code]),
                described_by=descriptions[code].described_by,
            )
            for code, title in sorted(titles.items())
        ),
        exclusions=tuple(exclusions),
        entries=_entries(books.index, titles, books.vintage),
    )


def entry_ids(books: Workbooks, taxonomy: Taxonomy) -> dict[str, int]:
    """Number in the index sheet, 0 the first row below the header, by the keys of its entries."""
    rows = [cells.row - _FIRST_ROW for cells in books.index.rows if cells.code != SEE_ROW]
    return dict(zip((entry.key for entry in taxonomy.entries), rows, strict=True))


def _titles(sheet: Sheet) -> dict[str, str]:
    titles: dict[str, str] = {}
    rows: dict[str, Cells] = {}
    for cells in sheet.rows:
        if not CODE_FORM.fullmatch(cells.code):
            sheet.refuse(
                cells,
                f"{cells.code!r} is in no hierarchy: not two to six digits, nor a range of sectors",
                "correct the code",
            )
        if cells.code in rows:
            sheet.refuse(
                cells,
                f"the code {cells.code} stands here a second time, first in row "
                f"{rows[cells.code].row}",
                "delete one of the two rows",
            )
        title = clean_title(cells.text)
        if not title:
            sheet.refuse(cells, f"the code {cells.code} has no title", "write its title there")
        titles[cells.code], rows[cells.code] = title, cells
    _check_parents(sheet, rows)
    return titles


def _check_parents(sheet: Sheet, rows: dict[str, Cells]) -> None:
    sectors = sectors_by_prefix(rows)
    for code, cells in rows.items():
        parent = parent_of(code, sectors)
        if parent is not None and parent not in rows:
            sheet.refuse(
                cells,
                f"the code {code} is an orphan: there is no {parent or f'sector {code[:2]}'} "
                "above it",
                "add the row of its parent, or get the file again",
            )


def _descriptions(sheet: Sheet, titles: dict[str, str]) -> defaultdict[str, DescriptionParts]:
    parts: defaultdict[str, DescriptionParts] = defaultdict(DescriptionParts)
    for cells in sheet.rows:
        _check_known(sheet, cells, titles)
        if cells.code in parts:
            sheet.refuse(cells, f"the code {cells.code} is described a second time", _AGAIN)
        found = split_description(cells.text)
        if found.described_by is not None and (
            found.described_by not in titles or found.described_by == cells.code
        ):
            sheet.refuse(
                cells,
                f"the description of {cells.code} points to {found.described_by}, "
                "which is no other code",
                _AGAIN,
            )
        parts[cells.code] = found
    return parts


def _references(
    sheet: Sheet, titles: dict[str, str]
) -> tuple[defaultdict[str, list[str]], list[Exclusion]]:
    sentences: defaultdict[str, list[str]] = defaultdict(list)
    exclusions: list[Exclusion] = []
    for cells in sheet.rows:
        _check_known(sheet, cells, titles)
        _check_text(sheet, cells)
        sentence = clean_sentence(cells.text)
        if sentence not in sentences[cells.code]:
            sentences[cells.code].append(sentence)
            exclusions += resolve(cells.code, sentence, titles)
    return sentences, exclusions


def _entries(sheet: Sheet, titles: dict[str, str], vintage: str) -> tuple[IndexEntry, ...]:
    entries = []
    seen: Counter[str] = Counter()
    for cells in sheet.rows:
        if cells.code == SEE_ROW:
            continue
        _check_known(sheet, cells, titles)
        _check_text(sheet, cells)
        if level_of(cells.code) != 6:
            sheet.refuse(
                cells, f"the entry is coded {cells.code}, which has not six digits", _AGAIN
            )
        text = one_line(cells.text)
        key = entry_key(vintage, EntrySource.CENSUS, cells.code, text)
        seen[key] += 1
        if seen[key] > 1:
            key = f"{key}#{seen[key]}"
        entries.append(IndexEntry(key, text, cells.code))
    return tuple(entries)


def _check_known(sheet: Sheet, cells: Cells, titles: dict[str, str]) -> None:
    if cells.code not in titles:
        sheet.refuse(cells, f"the code {cells.code!r} is not among the codes and titles", _AGAIN)


def _check_text(sheet: Sheet, cells: Cells) -> None:
    if not cells.text.strip():
        sheet.refuse(cells, f"the text beside {cells.code} is blank", "write it, or delete the row")
