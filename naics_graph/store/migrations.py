"""Named, ordered, recorded changes of a database's schema.

A migration is a file `cypher/<dialect>/migrations/NNNN_name.cypher`; its name is the file name.
What was applied stands in the database as (:Migration {name, applied}), so a database knows its
schema and a program that is older than the database says so instead of misreading it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from naics_graph.errors import DatabaseError
from naics_graph.store.queries import SUFFIX, cypher_files, statements

FOLDER = "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of the schema; every statement can be repeated (IF NOT EXISTS)."""

    name: str
    statements: tuple[str, ...]


@cache
def known_migrations(dialect: str) -> tuple[Migration, ...]:
    """The migrations this program knows, in the order in which they apply."""
    return tuple(
        Migration(
            file.name.removesuffix(SUFFIX), tuple(statements(file.read_text(encoding="utf-8")))
        )
        for file in cypher_files(dialect, FOLDER)
    )


def pending_migrations(dialect: str, applied: Iterable[str], where: str) -> list[Migration]:
    """The migrations still to apply, in order.

    Args:
        dialect: folder of `cypher/`.
        applied: the names recorded in the database.
        where: the database, for the message.

    Raises:
        DatabaseError: the database records a migration this program does not know.
    """
    done = set(applied)
    known = known_migrations(dialect)
    newer = sorted(done - {migration.name for migration in known})
    if newer:
        raise DatabaseError(
            f"the database has a newer schema than this program (migration {', '.join(newer)})",
            where=where,
            do="upgrade naics-graph, or use another database",
        )
    return [migration for migration in known if migration.name not in done]
