"""The companion edition: texts written for this project, one CSV of lines per sector.

README.md beside this file says what the files hold and how to correct an entry; `complete.py` is
their validator.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, get_args

from naics_graph.errors import DataError
from naics_graph.taxonomy.model import EntrySource, Exclusion, IndexEntry, Industry, entry_key

Kind = Literal["description", "inherits", "example", "exclusion", "phrase"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
COLUMNS: Final = ("code", "kind", "text", "target")

BASE: Final = "2022"
"""The vintage written in full; others hold the codes that differ from it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file. `target` is the code an exclusion sends its text to, or whose
    description is inherited; else "". `where` names file and line.
    """

    code: str
    kind: Kind
    text: str
    target: str
    where: str


@dataclass(frozen=True, slots=True)
class Companion:
    """The texts of one vintage, as channels and as index entries."""

    vintage: str
    industries: Mapping[str, Industry]
    exclusions: tuple[Exclusion, ...]
    phrases: tuple[IndexEntry, ...]

    @property
    def descriptions(self) -> tuple[IndexEntry, ...]:
        """The descriptions of six-digit codes as entries: further queries beside other channels."""
        return tuple(
            _entry(code, industry.description, EntrySource.COMPANION_DESCRIPTION, self.vintage)
            for code, industry in self.industries.items()
            if industry.description and industry.level == 6
        )


def read_lines(vintage: str) -> tuple[Line, ...]:
    """Every line written for a vintage itself, file by file; none for a vintage without a folder.

    Raises:
        DataError: a file that is no CSV of the columns COLUMNS, or a line of no known kind, without
            text or target where its kind needs one. The message names file and line.
    """
    folder = files(__package__).joinpath("companion", vintage)
    if not folder.is_dir():
        return ()
    named = sorted(folder.iterdir(), key=lambda entry: entry.name)
    return tuple(
        line
        for entry in named
        if entry.name.endswith(".csv")
        for line in parse(entry.read_text(encoding="utf-8"), f"companion/{vintage}/{entry.name}")
    )


def parse(text: str, file: str) -> Iterator[Line]:
    """The lines of one file. Errors as `read_lines`."""
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        for row in reader:
            where = f"{file}, line {reader.line_num}"
            if reader.line_num == 1:
                if tuple(row) != COLUMNS:
                    raise _refused(f"the header is {','.join(row)}", where)
            else:
                yield _line(row, where)
    except csv.Error as error:
        raise _refused(str(error), f"{file}, line {reader.line_num}") from error


def _line(row: list[str], where: str) -> Line:
    if len(row) != len(COLUMNS):
        raise _refused(f"there are {len(row)} fields, not {len(COLUMNS)}", where)
    code, kind, text, target = (field.strip() for field in row)
    if kind not in KINDS:
        raise _refused(f"the kind is {kind!r}, none of {', '.join(KINDS)}", where)
    if bool(text) == (kind == "inherits"):
        raise _refused(f"the text is {text!r}; every kind but inherits has one", where)
    if bool(target) != (kind in ("inherits", "exclusion")):
        raise _refused(f"the target is {target!r}; exclusion and inherits alone have one", where)
    return Line(code, kind, text, target, where)


def _refused(saw: str, where: str) -> DataError:
    return DataError(saw, where=where, do=f"correct the line; the columns are {','.join(COLUMNS)}")


def lines_of(vintage: str, codes: Collection[str]) -> tuple[Line, ...]:
    """The lines that hold for a vintage with these codes.

    Of each kind a code has the lines of its own vintage, if any, else those of BASE without the
    ones whose target is not among the codes. `inherits` takes the place of a description.
    """
    own = read_lines(vintage)
    if vintage == BASE:
        return own
    written = {(line.code, _place(line)) for line in own}
    base = (
        line
        for line in read_lines(BASE)
        if line.code in codes
        and (line.code, _place(line)) not in written
        and (not line.target or line.target in codes)
    )
    return (*base, *own)


def _place(line: Line) -> Kind:
    return "description" if line.kind == "inherits" else line.kind


def read_companion(vintage: str, titles: Iterable[Industry]) -> Companion:
    """The companion texts of a vintage on its codes and titles.

    Raises:
        DataError: as `read_lines`, or a line names a code that does not exist.
    """
    industries = {industry.code: industry for industry in titles}
    found: defaultdict[tuple[str, Kind], list[Line]] = defaultdict(list)
    for line in lines_of(vintage, industries.keys()):
        for code in (line.code, line.target or line.code):
            if code not in industries:
                raise DataError(
                    f"there is no code {code} in NAICS {vintage}",
                    where=line.where,
                    do="correct the code, or delete the line",
                )
        found[line.code, line.kind].append(line)
    return Companion(
        vintage=vintage,
        industries={
            code: dataclasses.replace(
                industry,
                description="".join(line.text for line in found[code, "description"][:1]),
                described_by=next((line.target for line in found[code, "inherits"]), None),
                examples=_texts(found[code, "example"]),
                excluded=_texts(found[code, "exclusion"]),
            )
            for code, industry in industries.items()
        },
        exclusions=tuple(
            Exclusion(line.code, line.target, line.text, line.text)
            for code in industries
            for line in found[code, "exclusion"]
        ),
        phrases=tuple(
            _entry(code, text, EntrySource.COMPANION, vintage)
            for code in industries
            for text in _texts(found[code, "phrase"])
        ),
    )


def _texts(lines: Iterable[Line]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.text for line in lines))


def _entry(code: str, text: str, source: EntrySource, vintage: str) -> IndexEntry:
    return IndexEntry(entry_key(vintage, source, code, text), text, code, source)
