"""The edition in the package: codes and titles, and the companion texts; no network needed.

Codes and titles are public facts; every other text was written for this project (`companion.py`).
"""

from __future__ import annotations

import csv
from importlib.resources import files
from typing import Final

from naics_graph.errors import DataError
from naics_graph.taxonomy.bundled.companion import Companion, read_companion
from naics_graph.taxonomy.model import Industry, Taxonomy
from naics_graph.taxonomy.validate import parent_of, sectors_by_prefix

NEWEST: Final = "2022"
"""The newest vintage the package knows, the default of `load` and `fetch`."""


def bundled_vintages() -> list[str]:
    """Vintages in the package, oldest first."""
    names = (entry.name for entry in files(__package__).iterdir())
    return sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv"))


def read_bundled(vintage: str = NEWEST) -> Taxonomy:
    """One vintage of the bundled edition, parents before children: channels and phrases.

    Raises:
        DataError: the package has no such vintage, or a file of it was broken.
    """
    companion = companion_of(vintage)
    return Taxonomy(
        vintage=vintage,
        industries=tuple(companion.industries.values()),
        exclusions=companion.exclusions,
        entries=companion.phrases,
    )


def companion_of(vintage: str) -> Companion:
    """The companion texts of a vintage. Errors as `read_bundled`."""
    return read_companion(vintage, read_titles(vintage))


def read_titles(vintage: str) -> tuple[Industry, ...]:
    """Codes and titles of a vintage alone, parents before children. Errors as `read_bundled`."""
    if vintage not in bundled_vintages():
        raise DataError(
            f"the package has no NAICS {vintage}",
            where=f"the bundled edition ({', '.join(bundled_vintages())})",
            do="choose one of those with --vintage, or load workbooks with --source DIR",
        )
    text = files(__package__).joinpath(f"{vintage}.csv").read_text(encoding="utf-8")
    rows = [(row["code"], row["title"]) for row in csv.DictReader(text.splitlines())]
    sectors = sectors_by_prefix(code for code, _ in rows)
    return tuple(
        Industry(code=code, title=title, parent=parent_of(code, sectors)) for code, title in rows
    )
