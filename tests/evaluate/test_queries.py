"""A user's labelled table: what is read, and every way it is refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

from naics_graph.errors import DataError
from naics_graph.evaluate.queries import (
    LabelledQuery,
    read_queries,
    split_sha256,
    validation_queries,
)
from tests.evaluate.small import ENTRIES, TITLES, small_taxonomy

Write = Callable[[str], Path]
DOGS = LabelledQuery("dogs, groomed", "111110")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode())
        return path

    return save


def test_csv_with_other_columns_quotes_and_a_byte_order_mark(write: Write) -> None:
    path = write('\ufeffid,code,text\r\n1,111110,"dogs, groomed"\r\n2, 441110 ,"two\nlines"\r\n')
    assert read_queries(path, TITLES) == [DOGS, LabelledQuery("two\nlines", "441110")]


def test_csv_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO(b'text,code\n"dogs, groomed",111110\n')
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=raw))
    assert read_queries(Path("-"), TITLES) == [DOGS]


@pytest.mark.parametrize("code", ["111110", 111110])
def test_parquet_with_text_or_whole_number_codes(tmp_path: Path, code: object) -> None:
    path = tmp_path / "table.parquet"
    parquet.write_table(pa.table({"code": [code], "text": ["dogs, groomed"], "id": [1]}), path)
    assert read_queries(path, TITLES) == [DOGS]


@pytest.mark.parametrize(
    ("text", "place", "saw"),
    [
        (
            "text,naics\na,111110\n",
            "table.csv",
            "column 'code' is missing; there are: 'text', 'naics'",
        ),
        ("", "table.csv", "column 'text' is missing; there are: none"),
        ("text,code\n", "table.csv", "no rows"),
        ("text,code\na,111110\n  ,111110\n", "line 3", "the text is '  '"),
        ("text,code\na\n", "line 2", "None is no code"),
        ("text,code\na,111110\nb,999999\n", "line 3", "'999999' is no code"),
        ("text,code\na,111110.0\n", "line 2", "'111110.0' is no code"),
        ("text,code\na,1111\n", "line 2", "code 1111 has 4 digits"),
        ('text,code\n"a"b,111110\n', "line 2", "cannot be read"),
    ],
)
def test_bad_csv_is_refused(write: Write, text: str, place: str, saw: str) -> None:
    with pytest.raises(DataError) as caught:
        read_queries(write(text), TITLES)
    assert saw in caught.value.saw
    assert place in caught.value.where
    assert caught.value.do


def test_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"text,code\nplain,111110\ncaf\xe9,111110\n")
    with pytest.raises(DataError, match="0xe9 is not UTF-8") as caught:
        read_queries(path, TITLES)
    assert caught.value.where.endswith("table.csv, line 3")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataError, match="cannot be read"):
            read_queries(tmp_path / name, TITLES)


def test_bad_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match="cannot be read"):
        read_queries(path, TITLES)
    parquet.write_table(pa.table({"text": ["a"], "codes": ["111110"]}), path)
    with pytest.raises(DataError, match="'code' is missing"):
        read_queries(path, TITLES)
    parquet.write_table(pa.table({"text": ["a", None], "code": ["111110", "111110"]}), path)
    with pytest.raises(DataError, match="the text is None") as caught:
        read_queries(path, TITLES)
    assert "row 2" in caught.value.where
    parquet.write_table(pa.table({"text": ["a"], "code": [111110.0]}), path)
    with pytest.raises(DataError, match=r"111110\.0 is no code"):
        read_queries(path, TITLES)


def test_the_validation_role() -> None:
    found = validation_queries(small_taxonomy())
    assert found == [LabelledQuery(text, code) for code, text, role in ENTRIES[-3:] if role]
    with pytest.raises(DataError, match="no entries of the role 'validation'") as caught:
        validation_queries(small_taxonomy(roles=False))
    assert "--queries" in caught.value.do


def test_the_hash_knows_texts_and_codes_but_no_order(write: Write) -> None:
    found = validation_queries(small_taxonomy())
    table = "text,code\n" + "".join(f"{q.text},{q.code}\n" for q in reversed(found))
    assert split_sha256(read_queries(write(table), TITLES)) == split_sha256(found)
    assert split_sha256(found[:-1]) != split_sha256(found)
    moved = [*found[:-1], LabelledQuery(found[-1].text, "111110")]
    assert split_sha256(moved) != split_sha256(found)
