"""The edition in the package: the official codes and titles. Its texts: test_companion.py."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from naics_graph.errors import DataError
from naics_graph.taxonomy.bundled.edition import NEWEST, bundled_vintages, read_bundled
from naics_graph.taxonomy.sources import read_taxonomy
from naics_graph.taxonomy.validate import validate

COUNTS = {
    "2017": {2: 20, 3: 99, 4: 311, 5: 709, 6: 1057},
    "2022": {2: 20, 3: 96, 4: 308, 5: 689, 6: 1012},
}


def test_vintages() -> None:
    assert bundled_vintages() == list(COUNTS)
    assert bundled_vintages()[-1] == NEWEST


@pytest.mark.parametrize("vintage", COUNTS)
def test_counts_and_shape(vintage: str) -> None:
    taxonomy = validate(read_bundled(vintage), "the package")
    assert taxonomy.vintage == vintage
    assert Counter(i.level for i in taxonomy.industries) == COUNTS[vintage]
    assert {i.parent for i in taxonomy.industries if i.code[:2] in ("31", "32", "33")} >= {"31-33"}


def test_unknown_vintage_names_those_there_are() -> None:
    with pytest.raises(DataError, match="no NAICS 1997") as caught:
        read_bundled("1997")
    assert "2017, 2022" in caught.value.where


@pytest.mark.census
@pytest.mark.parametrize("vintage", COUNTS)
def test_codes_and_titles_are_those_of_the_workbooks(census_dir: Path, vintage: str) -> None:
    official = read_taxonomy(census_dir, vintage, None)
    bundled = read_bundled(vintage)
    assert [(i.code, i.title, i.parent) for i in bundled.industries] == [
        (i.code, i.title, i.parent) for i in official.industries
    ]
