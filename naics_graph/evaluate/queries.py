"""Labelled texts to score systems on: the validation role of a load, or a user's own table."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naics_graph.errors import DataError
from naics_graph.taxonomy.model import Role, Taxonomy, level_of

COLUMNS = ("text", "code")
STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A text and the six-digit code it belongs to."""

    text: str
    code: str


def validation_queries(taxonomy: Taxonomy) -> list[LabelledQuery]:
    """The entries kept for evaluation, in the order of the taxonomy.

    Raises:
        DataError: the load has none.
    """
    found = [LabelledQuery(e.text, e.code) for e in taxonomy.entries if e.evaluated]
    if not found:
        raise DataError(
            f"vintage {taxonomy.vintage} holds no entries of the role {Role.VALIDATION.value!r}",
            where="the loaded database",
            do="load with `--roles FILE`, or give your own labelled table with `--queries FILE`",
        )
    return found


def read_queries(path: Path, codes: Collection[str]) -> list[LabelledQuery]:
    """Read a labelled table: CSV (`-` is stdin) or, by the suffix .parquet, Parquet.

    Args:
        path: a file with the columns `text` and `code`; others are ignored.
        codes: the codes of the vintage that is evaluated, of every level.

    Raises:
        DataError: unreadable, not UTF-8, a column missing, no rows, or a row without text or
            without a six-digit code of the vintage; the message names the row.
    """
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    found = [_checked(text, code, f"{path}, {place}", codes) for place, text, code in rows]
    if not found:
        raise DataError("the table has no rows", where=str(path), do="give labelled texts")
    return found


def split_sha256(queries: Iterable[LabelledQuery]) -> str:
    """Hexadecimal sha256 of what is evaluated: the sorted lines `text TAB code`.

    The same for a role and for a table with the same texts and codes, whatever their order.
    """
    lines = sorted(f"{query.text}\t{query.code}\n" for query in queries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _checked(text: Any, code: Any, where: str, codes: Collection[str]) -> LabelledQuery:
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"the text is {text!r}", where=where, do="give every row a text")
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)
    if not isinstance(code, str) or code.strip() not in codes:
        raise DataError(
            f"{code!r} is no code of the vintage evaluated",
            where=where,
            do="correct the code, or choose its vintage with --vintage; codes are read as text",
        )
    code = code.strip()
    if level_of(code) != 6:
        raise DataError(
            f"code {code} has {level_of(code)} digits",
            where=where,
            do="give a six-digit code: only those are candidates",
        )
    return LabelledQuery(text.strip(), code)


def _csv_rows(path: Path) -> Iterator[tuple[str, Any, Any]]:
    reader = csv.DictReader(io.StringIO(_decoded(path), newline=""), strict=True)
    try:
        _require_columns(reader.fieldnames or [], path)
        for row in reader:
            yield f"line {reader.line_num}", row["text"], row["code"]
    except csv.Error as error:
        raise DataError(
            f"the CSV cannot be read: {error}",
            where=f"{path}, line {reader.reader.line_num}",
            do="quote texts that hold commas, quotes or line ends, as RFC 4180 says",
        ) from error


def _decoded(path: Path) -> str:
    try:
        raw = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"byte {raw[error.start]:#04x} is not UTF-8",
            where=f"{path}, line {line}",
            do="save the table as UTF-8 (in a spreadsheet: CSV UTF-8)",
        ) from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _require_columns(file.schema_arrow.names, path)
            table = file.read(columns=list(COLUMNS))
    except (OSError, pyarrow.ArrowException) as error:
        raise _unreadable(path, error) from error
    texts, codes = (table.column(name).to_pylist() for name in COLUMNS)
    for row, (text, code) in enumerate(zip(texts, codes, strict=True), start=1):
        yield f"row {row}", text, code


def _require_columns(names: Sequence[str], path: Path) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        shown = ", ".join(map(repr, names)) or "none"
        raise DataError(
            f"the column {missing[0]!r} is missing; there are: {shown}",
            where=str(path),
            do="name the columns `text` and `code` in the first row",
        )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the table cannot be read: {error}",
        where=str(path),
        do="give a readable CSV or Parquet file with the columns text and code",
    )
