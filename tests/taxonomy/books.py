"""A small vintage as workbooks: right as it stands, and easily made wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl

from naics_graph.taxonomy.census import layouts

VINTAGE = "2031"

TITLES: list[tuple[str | int, str]] = [
    ("11", "Farms"),
    ("111", "CropsT "),
    ("1111", "GrainT"),
    ("11111", "Rye"),
    (111110, "Rye "),
    ("31-33", "Factories"),
    (311, "Food"),
    (3111, "Feed"),
    (31111, "Feed"),
    (311111, "Dog Feed"),
    (311119, "Other Feed"),
]


@dataclass
class Book:
    """One workbook: sheet name and its rows, the header first."""

    sheet: str
    rows: list[list[Any]] = field(default_factory=list)


@dataclass
class Books:
    """The four workbooks of a vintage, by what they hold."""

    vintage: str
    titles: Book
    descriptions: Book
    index: Book
    references: Book

    def names(self) -> dict[str, Book]:
        """Books by their published file names."""
        books = (self.titles, self.descriptions, self.index, self.references)
        return {
            layout.file: book for layout, book in zip(layouts(self.vintage), books, strict=True)
        }

    def write(self, folder: Path) -> Path:
        """Write the four files into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, book in self.names().items():
            workbook = openpyxl.Workbook()
            page = workbook.active
            assert page is not None
            page.title = book.sheet
            for row in book.rows:
                page.append(row)
            workbook.save(folder / name)
        return folder


Mutation = Callable[[Books], None]


def small_vintage(vintage: str = VINTAGE) -> Books:
    """Eleven codes of two sectors with texts of every kind, laid out as the Bureau does."""
    titles, descriptions, index, references = layouts(vintage)
    return Books(
        vintage,
        Book(
            titles.sheet,
            [
                ["Seq. No.", f"{vintage} NAICS US\n   Code", f" {vintage} NAICS  US Title ", None],
                [None, None, None, None],
                *([i, code, title, None] for i, (code, title) in enumerate(TITLES, start=1)),
            ],
        ),
        Book(
            descriptions.sheet,
            [
                ["Code", "Title", "Description"],
                ["11", "FarmsT", "The Sector as a Whole\r\n\r\nFarms  grow things.\r\n"],
                [1111, "Grain", "NULL"],
                [11111, "Rye", "See industry description for 111110."],
                [
                    111110,
                    "Rye",
                    "This industry grows rye.\n\nIllustrative Examples:\n\nRye farming\t\n"
                    "Seed rye growing (e.g.,\nwinter rye)\n\n\nCross-References.",
                ],
                [
                    311111,
                    "Dog Feed",
                    "Feed for dogs.\n\nCross-references. Establishments engaged--",
                ],
            ],
        ),
        Book(
            index.sheet,
            [
                [index.code, index.text],
                [111110, "Rye farming, field"],
                [111110, "Rye farming,  winter field and seed production"],
                [311111, "Dog food manufacturing"],
                [311119, "Cat food manufacturing"],
                ["******", "Feed -- see type "],
            ],
        ),
        Book(
            references.sheet,
            [
                ["Code", "Cross-Reference"],
                [111110, "Making rye feed--are classified in U.S. Industry 311119, Other; and"],
                [11111, "Making feed--are classified in Sector 31-33, Factories;"],
                [
                    311111,
                    "Establishments primarily engaged in growing rye for dogs are classified in "
                    "Industry 11111, Rye.",
                ],
                [311119, "Baking--are classified elsewhere."],
            ],
        ),
    )
