"""The split applied: roles given, sealed entries gone, what repeats an evaluated entry left out."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from naics_graph.errors import DataError, UsageError
from naics_graph.taxonomy.build import build_taxonomy, entry_ids
from naics_graph.taxonomy.census import read_workbooks
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import EntrySource, IndexEntry, Role, Taxonomy
from naics_graph.taxonomy.nearness import NearIndex, nearly_equal, normalise
from naics_graph.taxonomy.roles import apply_roles
from naics_graph.taxonomy.sources import read_taxonomy
from naics_graph.taxonomy.validate import validate
from tests.taxonomy.books import VINTAGE, Books, small_vintage

HEADER = "entry_id,code,role"
SPLIT = ["0,111110,training", "1,111110,validation", "2,311111,examples", "3,311119,sealed"]
VALIDATION, SEALED = "Rye farming, winter field and seed production", "Cat food manufacturing"


def write_split(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "roles.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def load(folder: Path, books: Books | None = None) -> Taxonomy:
    (books or small_vintage()).write(folder)
    return read_taxonomy(folder, VINTAGE, write_split(folder, *SPLIT))


def texts_of(taxonomy: Taxonomy) -> list[str]:
    """Every text a taxonomy carries except validation entries."""
    own = [
        text
        for i in taxonomy.industries
        for text in (i.title, i.description, *i.examples, *i.excluded)
    ]
    said = [text for e in taxonomy.exclusions for text in (e.text, e.clause)]
    return own + said + [e.text for e in taxonomy.entries if not e.evaluated]


def test_every_entry_gets_its_role_and_sealed_ones_are_gone(tmp_path: Path) -> None:
    taxonomy = load(tmp_path)
    assert {entry.text: entry.role for entry in taxonomy.entries} == {
        "Rye farming, field": Role.TRAINING,
        VALIDATION: Role.VALIDATION,
        "Dog food manufacturing": Role.EXAMPLES,
    }
    assert taxonomy.left_out == {}
    without = read_taxonomy(tmp_path, VINTAGE, None)
    assert [entry.role for entry in without.entries] == [None] * 4
    assert taxonomy.industries == without.industries


def test_keys_do_not_depend_on_the_split(tmp_path: Path) -> None:
    keys = {entry.text: entry.key for entry in load(tmp_path).entries}
    without = {entry.text: entry.key for entry in read_taxonomy(tmp_path, VINTAGE, None).entries}
    assert keys.items() < without.items()


@pytest.mark.parametrize("evaluated", [VALIDATION, SEALED])
def test_what_repeats_an_evaluated_entry_is_left_out(tmp_path: Path, evaluated: str) -> None:
    books = small_vintage()
    again = evaluated.upper().replace(" ", " - ")
    near = f"{VALIDATION}s" if evaluated == VALIDATION else again
    assert nearly_equal(near, evaluated)
    books.descriptions.rows += [
        [311, "Food", again],
        [3111, "Feed", f"Feed.\n\nIllustrative Examples:\n\n{near}\nBird feed\n{evaluated}\n"],
    ]
    books.references.rows += [
        [311119, f"{again}--are classified in Industry 111110, Rye;"],
        [311, f"Establishments primarily engaged in {near} are classified in Industry 31111."],
        [3111, f"{again}--are classified elsewhere."],
        [31111, evaluated],
    ]
    taxonomy = load(tmp_path, books)
    assert taxonomy.left_out == {"description": 1, "example": 2, "exclusion": 4}
    assert not [text for text in texts_of(taxonomy) if nearly_equal(text, evaluated)]
    assert not [item for item in labelled_texts(taxonomy) if nearly_equal(item.text, evaluated)]
    by_code = {industry.code: industry for industry in taxonomy.industries}
    assert by_code["3111"].examples == ("Bird feed",)
    assert by_code["3111"].description == "Feed."
    assert [e.text for e in taxonomy.exclusions if e.source in ("311", "31111")] == []
    plain = load(tmp_path / "plain")
    assert set(texts_of(plain)) < set(texts_of(taxonomy))


def test_phrases_of_another_source_have_no_role_and_are_filtered(tmp_path: Path) -> None:
    books = read_workbooks(small_vintage().write(tmp_path), VINTAGE)
    census = build_taxonomy(books)
    phrases = tuple(
        IndexEntry(f"{VINTAGE}:companion:{i}", text, "311119", EntrySource.COMPANION)
        for i, text in enumerate(["Cat-food manufacturing!", "Kibble plant", VALIDATION])
    )
    both = dataclasses.replace(census, entries=(*phrases, *census.entries))
    ids = entry_ids(books, census)
    taxonomy = validate(apply_roles(both, ids, write_split(tmp_path, *SPLIT)), "test")
    assert taxonomy.left_out == {"phrase": 2}
    assert [(e.text, e.role) for e in taxonomy.entries if e.source is EntrySource.COMPANION] == [
        ("Kibble plant", None)
    ]
    assert {item.source for item in labelled_texts(taxonomy) if item.text == "Kibble plant"} == {
        "phrase"
    }


@pytest.mark.parametrize(
    ("rows", "where", "saw"),
    [
        (["0,111110,training", "9,111110,training"], "row 3", "entry_id 9 is no entry"),
        (["4,******,training"], "row 2", "entry_id 4 is no entry"),
        (["x,111110,training"], "row 2", "'x'"),
        (["-1,111110,training"], "row 2", "'-1'"),
        (["1.0,111110,training"], "row 2", "'1.0'"),
        (["0,311111,training"], "row 2", "code '311111', in the index sheet 111110"),
        (["0,111110,test"], "row 2", "'test'"),
        (["0,111110"], "row 2", "''"),
        ([*SPLIT, "1,111110,training"], "row 6", "entry_id 1 stands here a second time"),
        (SPLIT[:-2], "roles.csv", "2 of 4 index entries have no role, first entry_id 2"),
        ([], "roles.csv", "4 of 4"),
        (['0,111110,"training'], "roles.csv", "unexpected end of data"),
    ],
)
def test_a_split_that_does_not_match(tmp_path: Path, rows: list[str], where: str, saw: str) -> None:
    small_vintage().write(tmp_path)
    with pytest.raises(DataError) as caught:
        read_taxonomy(tmp_path, VINTAGE, write_split(tmp_path, *rows))
    assert where in caught.value.where
    assert saw in caught.value.saw
    assert caught.value.do
    assert "roles.csv" in caught.value.where


@pytest.mark.parametrize("header", ["entry_id,code", "id,code,role", ""])
def test_a_split_without_a_column(tmp_path: Path, header: str) -> None:
    small_vintage().write(tmp_path)
    path = write_split(tmp_path, *SPLIT, header=header)
    with pytest.raises(DataError, match="there is no column") as caught:
        read_taxonomy(tmp_path, VINTAGE, path)
    assert HEADER in caught.value.do


def test_a_split_that_cannot_be_read(tmp_path: Path) -> None:
    small_vintage().write(tmp_path)
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_taxonomy(tmp_path, VINTAGE, path)
    binary = tmp_path / "roles.csv"
    binary.write_bytes(b"entry_id,code,role\n0,111110,\xff\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_taxonomy(tmp_path, VINTAGE, binary)


def test_a_title_cannot_be_left_out(tmp_path: Path) -> None:
    books = small_vintage()
    books.index.rows[4][1] = "Other feed"
    with pytest.raises(DataError, match="title of 311119"):
        load(tmp_path, books)


def test_an_error_does_not_tell_a_sealed_text(tmp_path: Path) -> None:
    small_vintage().write(tmp_path)
    with pytest.raises(DataError) as caught:
        read_taxonomy(tmp_path, VINTAGE, write_split(tmp_path, *SPLIT[:-1], "3,111110,sealed"))
    assert SEALED not in str(caught.value)


def test_roles_belong_to_workbooks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without the index entries"):
        read_taxonomy(None, "2022", write_split(tmp_path, *SPLIT))


def test_the_split_of_2022_is_not_one_of_2017(census_dir: Path, roles_file: Path) -> None:
    with pytest.raises(DataError, match="in the index sheet") as caught:
        read_taxonomy(census_dir, "2017", roles_file)
    assert "edition" in caught.value.do


def test_counts_of_the_frozen_split(taxonomy_2022_roles: Taxonomy, roles_file: Path) -> None:
    with roles_file.open(newline="") as file:
        expected = Counter(row["role"] for row in csv.DictReader(file))
    found = Counter(str(entry.role) for entry in taxonomy_2022_roles.entries)
    assert found == {"examples": 6118, "training": 7200, "validation": 4042}
    assert dict(found) == {role: n for role, n in expected.items() if role != "sealed"}


def test_examples_that_repeat_validation_entries_are_gone(
    taxonomy_2022: Taxonomy, taxonomy_2022_roles: Taxonomy
) -> None:
    evaluated = [e.text for e in taxonomy_2022_roles.entries if e.evaluated]
    words = {normalise(text) for text in evaluated}
    said = {normalise(t) for i in taxonomy_2022.industries for t in i.examples}
    assert len(said & words) == 248
    near = NearIndex(evaluated)
    others = dataclasses.replace(taxonomy_2022_roles, entries=())
    assert not [text for text in texts_of(others) if text in near]
    assert not [item for item in labelled_texts(others) if item.text in near]
    # Counts only: the rest of what was left out repeats sealed entries.
    assert taxonomy_2022_roles.left_out == {"example": 487, "exclusion": 5}
    kept = sum(len(i.examples) for i in taxonomy_2022_roles.industries)
    assert kept + 487 == sum(len(i.examples) for i in taxonomy_2022.industries)
