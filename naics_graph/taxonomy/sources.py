"""Where a taxonomy comes from: workbooks in a folder, the edition in the package, or both."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from naics_graph.errors import UsageError
from naics_graph.taxonomy.bundled.edition import bundled_vintages, companion_of, read_bundled
from naics_graph.taxonomy.model import EntrySource, Taxonomy, Texts
from naics_graph.taxonomy.validate import validate


def read_taxonomy(
    source: Path | None, vintage: str, roles: Path | None, texts: Texts | None = None
) -> Taxonomy:
    """One validated vintage.

    Args:
        source: folder with the four workbooks of the vintage, in it or in its subfolder named after
            the vintage; None for the bundled edition.
        vintage: four digits, as in "2022".
        roles: the split of the index entries as CSV (entry_id, code, role): every entry gets its
            role, sealed ones are dropped, and so is every other text that (nearly) equals a
            validation or sealed entry. None: all entries, without a role.
        texts: with workbooks, `census` takes their texts alone; `both`, the default, the companion
            phrases and descriptions beside them, as entries; `companion` takes every text from the
            bundled edition, and from the workbooks the validation entries alone.

    Raises:
        DataError: a file that is missing, unreadable, of another vintage, or contradicts itself.
        UsageError: roles or texts without the workbooks, or the roles, that they need.
    """
    if source is None:
        return _read_bundled(vintage, roles, texts)
    if texts == "companion" and roles is None:
        raise UsageError(
            "companion texts take nothing from workbooks without a split",
            where="--texts companion",
            do="name the split with --roles, or leave --source out",
        )
    # Reading workbooks needs a library, the bundled edition does not.
    from naics_graph.taxonomy.build import build_taxonomy, entry_ids
    from naics_graph.taxonomy.census import read_workbooks
    from naics_graph.taxonomy.roles import apply_roles

    books = read_workbooks(source, vintage)
    census = build_taxonomy(books)
    taxonomy = _with_companion(census, texts or "both")
    if roles is not None:
        taxonomy = apply_roles(taxonomy, entry_ids(books, census), roles)
    if texts == "companion":
        taxonomy = _without_census(taxonomy)
    return validate(taxonomy, str(books.folder))


def _read_bundled(vintage: str, roles: Path | None, texts: Texts | None) -> Taxonomy:
    if roles is not None:
        raise UsageError(
            "a split was given without the index entries it belongs to",
            where=str(roles),
            do="name the folder with the workbooks by --source DIR",
        )
    if texts in ("census", "both"):
        raise UsageError(
            "the bundled edition has companion texts alone",
            where=f"--texts {texts}",
            do="name the folder with the workbooks by --source DIR",
        )
    return validate(read_bundled(vintage), "the bundled edition")


def _with_companion(census: Taxonomy, texts: Texts) -> Taxonomy:
    """The entries of the workbooks and the texts asked for, before any split."""
    if texts == "census" or (texts == "both" and census.vintage not in bundled_vintages()):
        return census
    companion = companion_of(census.vintage)
    if texts == "both":
        codes = {industry.code for industry in census.industries}
        further = (*companion.phrases, *companion.descriptions)
        entries = (*census.entries, *(entry for entry in further if entry.code in codes))
        return dataclasses.replace(census, entries=entries)
    return dataclasses.replace(
        census,
        industries=tuple(companion.industries.values()),
        exclusions=companion.exclusions,
        entries=(*census.entries, *companion.phrases),
    )


def _without_census(taxonomy: Taxonomy) -> Taxonomy:
    kept = (e for e in taxonomy.entries if e.evaluated or e.source is not EntrySource.CENSUS)
    return dataclasses.replace(taxonomy, entries=tuple(kept))
