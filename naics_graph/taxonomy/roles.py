"""The frozen split of the index entries, applied to a taxonomy.

Every entry gets the role the file gives it; a sealed one is dropped here and never leaves this
module. Every *other* labelled text that (nearly) equals a validation or sealed entry is dropped
too (`repeats`). Index entries of the sheet keep the role the file gives them: whoever made it saw
to it that they do not repeat each other.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn

from naics_graph.errors import DataError
from naics_graph.taxonomy.model import IndexEntry, Role, Taxonomy
from naics_graph.taxonomy.nearness import NEARLY, NearIndex, nearly_equal, normalise, trigrams
from naics_graph.taxonomy.repeats import without_repeats

__all__ = ["NEARLY", "apply_roles", "nearly_equal", "normalise", "trigrams"]

_SEALED: Final = "sealed"
_ROLES: Final = (*Role, _SEALED)
_COLUMNS: Final = ("entry_id", "code", "role")


def apply_roles(taxonomy: Taxonomy, entry_ids: Mapping[str, int], path: Path) -> Taxonomy:
    """The taxonomy with roles, without sealed entries and texts that repeat evaluated ones.

    Args:
        taxonomy: as its sources gave it.
        entry_ids: number in the index sheet, as the file counts them, by the key of the entry. An
            entry without one is a phrase of another source and gets no role.
        path: CSV with the columns entry_id, code, role: one row per entry of the sheet.

    Raises:
        DataError: the file is unreadable or does not match the entries, or a title repeats an
            evaluated entry.
    """
    of_sheet = [entry for entry in taxonomy.entries if entry.key in entry_ids]
    by_id = _read(path, {entry_ids[entry.key]: entry.code for entry in of_sheet})
    roles = {entry.key: by_id[entry_ids[entry.key]] for entry in of_sheet}
    evaluated = NearIndex(
        entry.text for entry in of_sheet if roles[entry.key] in (Role.VALIDATION, _SEALED)
    )
    for industry in taxonomy.industries:
        if industry.title in evaluated:
            raise DataError(
                f"the title of {industry.code} (nearly) equals a validation or sealed entry",
                where=str(path),
                do="give such entries the role examples or training: a title cannot be left out",
            )
    split = dataclasses.replace(taxonomy, entries=tuple(_split(taxonomy.entries, roles)))
    return without_repeats(split, evaluated, spared=roles)


def _split(entries: Iterable[IndexEntry], roles: Mapping[str, str]) -> Iterator[IndexEntry]:
    for entry in entries:
        role = roles.get(entry.key)
        if role is None:
            yield entry
        elif role != _SEALED:
            yield dataclasses.replace(entry, role=Role(role))


def _read(path: Path, codes: dict[int, str]) -> dict[int, str]:
    """Role by entry_id. codes: the code of every entry by its number in the sheet."""
    roles: dict[int, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"there is no column {', '.join(missing)}",
                    where=f"{path}, row 1",
                    do=f"begin the file with the header {','.join(_COLUMNS)}",
                )
            for row in reader:
                entry, role = _checked(row, codes, path, reader.line_num)
                if entry in roles:
                    _refuse(path, reader.line_num, f"entry_id {entry} stands here a second time")
                roles[entry] = role
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"the roles cannot be read: {error}",
            where=str(path),
            do="give --roles a CSV file in UTF-8",
        ) from error
    absent = sorted(codes.keys() - roles.keys())
    if absent:
        raise DataError(
            f"{len(absent)} of {len(codes)} index entries have no role, first entry_id {absent[0]}",
            where=str(path),
            do="give every entry of the index sheet a row, or load without --roles",
        )
    return roles


def _checked(row: dict[str, str], codes: dict[int, str], path: Path, line: int) -> tuple[int, str]:
    entry_id, code, role = ((row[name] or "").strip() for name in _COLUMNS)
    if not entry_id.isdecimal():
        _refuse(path, line, f"entry_id is {entry_id!r}, not a number of a row")
    if int(entry_id) not in codes:
        _refuse(path, line, f"entry_id {entry_id} is no entry of the index sheet")
    if codes[int(entry_id)] != code:
        _refuse(
            path,
            line,
            f"entry_id {entry_id} has code {code!r}, in the index sheet {codes[int(entry_id)]}",
        )
    if role not in _ROLES:
        _refuse(path, line, f"the role is {role!r}, none of {', '.join(_ROLES)}")
    return int(entry_id), role


def _refuse(path: Path, line: int, saw: str) -> NoReturn:
    raise DataError(
        saw,
        where=f"{path}, row {line}",
        do="use the roles made for this very edition of the workbooks, or load without --roles",
    )
