"""The taxonomy and its embedding sets in a Neo4j server.

Every query is a file of `cypher/neo4j` or `cypher/common`; values are parameters. Writes are one
transaction each: a load or a publication that dies leaves what was there before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import neo4j
import numpy as np

from naics_graph import settings
from naics_graph.errors import DatabaseError
from naics_graph.settings import Neo4jAuth
from naics_graph.store import sets
from naics_graph.store.contract import (
    EmbeddingRows,
    EmbeddingSetInfo,
    LoadReport,
    NearestRequest,
    Neighbour,
    Progress,
    Row,
)
from naics_graph.store.migrations import Migration, pending_migrations
from naics_graph.store.neo4j_connection import Connection, rows
from naics_graph.store.neo4j_nearest import nearest
from naics_graph.store.plan import LoadPlan
from naics_graph.store.queries import load_query
from naics_graph.store.reading import ReadingStore, read_plan, snake
from naics_graph.store.rows import GROUPS
from naics_graph.taxonomy.model import Taxonomy

DIALECT: Final = "neo4j"
BATCH: Final = 1000
"""Rows of one UNWIND. Batches of 5,000 took the server twice the time."""
SINCE: Final[Mapping[str, tuple[int, int]]] = {"0003_filtered_vector_index": (2026, 1)}
"""Migrations for servers from a version on; an older server gets them when it is upgraded."""

T = TypeVar("T")
Transaction = neo4j.Transaction | neo4j.ManagedTransaction


class Neo4jStore(ReadingStore):
    """A GraphStore on a Neo4j server.

    Args:
        uri: the server.
        auth: credentials and database name; by default those of the environment or `.env`.
        read_only: refuse to write.

    Raises:
        DatabaseError: the server cannot be reached, refuses us, or is too old.
    """

    dialect = DIALECT

    def __init__(self, uri: str, auth: Neo4jAuth | None = None, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self._connection = Connection(uri, auth or settings.neo4j_auth())

    def __repr__(self) -> str:
        return f"Neo4jStore({self.location!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process connects with the credentials of its own environment.
        return _reopen, (self._connection.uri, self._connection.database, self._read_only)

    @property
    def location(self) -> str:
        return self._connection.location

    @property
    def server_version(self) -> tuple[int, int]:
        """Major and minor version of the server, e.g. (5, 26) or (2026, 9)."""
        return self._connection.version

    def close(self) -> None:
        self._connection.close()

    # Schema

    def migrate(self) -> list[str]:
        pending = self._pending()
        for migration in pending:
            self._check_writable()
            for statement in migration.statements:
                self._connection.schema(statement)
            self._record(migration.name)
        return [migration.name for migration in pending]

    def _record(self, name: str) -> None:
        self._connection.retried(lambda tx: _write(tx, "record_migration", name=name))

    def _pending(self) -> list[Migration]:
        pending = pending_migrations(DIALECT, self.migrations(), self.location)
        return [m for m in pending if self.server_version >= SINCE.get(m.name, (0, 0))]

    # The taxonomy

    def load(
        self, taxonomy: Taxonomy, *, dry_run: bool = False, progress: Progress | None = None
    ) -> LoadReport:
        started = time.perf_counter()
        if dry_run:
            self._pending()
            plan = read_plan(taxonomy, self.run, self._version(taxonomy))
            return plan.report(self.location, time.perf_counter() - started, dry_run=True)
        self._check_writable()
        self.migrate()
        with self._connection.transaction() as tx:
            version = _rows(tx, "lock_vintage", vintage=taxonomy.vintage)[0]["version"]
            plan = read_plan(taxonomy, partial(_rows, tx), version)
            if plan.changes:
                _execute(tx, plan, progress)
        return plan.report(self.location, time.perf_counter() - started, dry_run=False)

    def _version(self, taxonomy: Taxonomy) -> str | None:
        found = self.run("vintage", vintage=taxonomy.vintage)
        return found[0]["version"] if found else None

    def _steady(self, vintage: str, read: Callable[[Row], T]) -> T:
        """`read` between two equal versions: reads are only read-committed, a load may fall in."""
        node = self._vintage(vintage)
        while True:
            result = read(node)
            after = self._vintage(vintage)
            if after == node:
                return result
            node = after

    # Embedding sets

    def publish(
        self, info: EmbeddingSetInfo, rows: EmbeddingRows, *, activate: bool = True
    ) -> None:
        sets.check_rows(info, rows)
        self._check_writable()
        self.migrate()
        columns = sets.embedding_columns(info, rows)
        with self._connection.transaction() as tx:
            _rows(tx, "lock_vintage", vintage=info.vintage)
            if _rows(tx, "embedding_set", id=info.id):
                raise sets.set_exists(info.id, self.location)
            loaded = {row["code"] for row in _rows(tx, "industries", vintage=info.vintage)}
            sets.check_loaded(info, rows.codes, loaded)
            _write(tx, "create_embedding_set", row=sets.set_row(info, active=False))
            for batch in _batches(columns, len(rows.codes)):
                _write(tx, "create_embeddings", rows=batch)
            if activate:
                _activate(tx, info.vintage, info.id)

    def activate_set(self, set_id: str) -> None:
        self._check_writable()

        def work(tx: Transaction) -> None:
            vintage = self._set(tx, set_id)["vintage"]
            _rows(tx, "lock_vintage", vintage=vintage)
            self._set(tx, set_id)
            _activate(tx, vintage, set_id)

        self._connection.retried(work)

    def delete_set(self, set_id: str) -> None:
        self._check_writable()
        with self._connection.transaction() as tx:
            _rows(tx, "lock_vintage", vintage=self._set(tx, set_id)["vintage"])
            if self._set(tx, set_id)["status"] == "active":
                raise sets.set_is_active(set_id, self.location)
            _write(tx, "delete_embedding_set", id=set_id)

    def _set(self, tx: Transaction, set_id: str) -> Row:
        found = _rows(tx, "embedding_set", id=set_id)
        if not found:
            raise sets.no_such_set(set_id, self.location)
        return found[0]

    # Questions

    def nearest(self, request: NearestRequest) -> list[Neighbour]:
        return nearest(self._connection, request)

    def run(self, query: str, **parameters: Any) -> list[Row]:
        return self._connection.read(load_query(DIALECT, query), **parameters)

    def _check_writable(self) -> None:
        if self._read_only:
            raise DatabaseError(
                "the database was opened for reading",
                where=self.location,
                do="open it for writing",
            )


def _reopen(uri: str, database: str, read_only: bool) -> Neo4jStore:
    return Neo4jStore(uri, settings.neo4j_auth()._replace(database=database), read_only=read_only)


def _rows(tx: Transaction, query: str, **parameters: Any) -> list[Row]:
    return rows(tx.run(load_query(DIALECT, query), parameters))


def _write(tx: Transaction, query: str, **parameters: Any) -> None:
    tx.run(load_query(DIALECT, query), parameters).consume()


def _execute(tx: Transaction, plan: LoadPlan, progress: Progress | None) -> None:
    """Write what a plan says. Deletions first: an entry that moved must lose its old code."""
    for group, keys in plan.to_delete.items():
        if keys:
            _write(tx, f"delete_{snake(group)}", vintage=plan.taxonomy.vintage, keys=list(keys))
    total = sum(len(d.created) + len(d.updated) + len(d.moved) for d in plan.diffs.values())
    done = 0
    for group in GROUPS:
        diff = plan.diffs[group]
        for verb, changed in (("create", diff.created), ("update", diff.updated + diff.moved)):
            for start in range(0, len(changed), BATCH):
                batch = changed[start : start + BATCH]
                _write(tx, f"{verb}_{snake(group)}", rows=batch)
                done += len(batch)
                if progress is not None:
                    progress("load", done, total)
    _write(tx, "mark_missing", keys=list(plan.to_mark))
    if plan.split:
        _write(tx, "empty_missing", keys=list(plan.vanished))
    _write(tx, "save_vintage", row=plan.vintage)


def _activate(tx: Transaction, vintage: str, set_id: str) -> None:
    _write(tx, "activate_embeddings", id=set_id)
    _write(tx, "activate_clear", vintage=vintage, id=set_id)
    _write(tx, "activate_status", vintage=vintage, id=set_id)


def _batches(columns: Mapping[str, Any], number: int) -> Iterator[list[Row]]:
    """Columns as batches of rows of plain Python values, which the driver packs fastest."""
    for start in range(0, number, BATCH):
        part = [
            values.tolist() if isinstance(values, np.ndarray) else values
            for values in (column[start : start + BATCH] for column in columns.values())
        ]
        yield [dict(zip(columns, row, strict=True)) for row in zip(*part, strict=True)]
