"""Where a taxonomy comes from: official workbooks in a folder, or the edition in the package."""

from __future__ import annotations

from pathlib import Path

from naics_graph.errors import UsageError
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.validate import validate


def read_taxonomy(source: Path | None, vintage: str, roles: Path | None) -> Taxonomy:
    """One validated vintage.

    Args:
        source: folder with the four workbooks of the vintage, in it or in its subfolder named after
            the vintage; None for the bundled edition.
        vintage: four digits, as in "2022".
        roles: the split of the index entries as CSV (entry_id, code, role): every entry gets its
            role, sealed ones are dropped, and so is every other text that (nearly) equals a
            validation or sealed entry. None: all entries, without a role.

    Raises:
        DataError: a file that is missing, unreadable, of another vintage, or contradicts itself.
        UsageError: roles without workbooks to which they belong.
    """
    if source is None:
        return _read_bundled(vintage, roles)
    # Reading workbooks needs a library, the bundled edition does not.
    from naics_graph.taxonomy.build import build_taxonomy, entry_ids
    from naics_graph.taxonomy.census import read_workbooks
    from naics_graph.taxonomy.roles import apply_roles

    books = read_workbooks(source, vintage)
    taxonomy = build_taxonomy(books)
    if roles is not None:
        taxonomy = apply_roles(taxonomy, entry_ids(books, taxonomy), roles)
    return validate(taxonomy, str(books.folder))


def _read_bundled(vintage: str, roles: Path | None) -> Taxonomy:
    from naics_graph.taxonomy.bundled.edition import read_bundled

    if roles is not None:
        raise UsageError(
            "a split was given without the index entries it belongs to",
            where=str(roles),
            do="name the folder with the workbooks by --source DIR",
        )
    return validate(read_bundled(vintage), "the bundled edition")
