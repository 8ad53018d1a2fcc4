"""The taxonomy and its embedding sets in a ladybug file: the embedded database, and the default.

A write makes a whole new file and renames it into place (`ladybug_file`), so a reader in any
process sees the old state or the new one. A store opens the file at its first read and again when
it has been replaced; one public method reads one state.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from naics_graph.errors import DatabaseError
from naics_graph.store import ladybug_tables as tables_of
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
from naics_graph.store.ladybug_file import DatabaseFile, Fingerprint, Opened
from naics_graph.store.ladybug_tables import DIALECT, Tables
from naics_graph.store.migrations import Migration, known_migrations, pending_migrations
from naics_graph.store.plan import LoadPlan
from naics_graph.store.queries import load_query
from naics_graph.store.reading import ReadingStore, read_plan
from naics_graph.taxonomy.model import LEVELS, Taxonomy, key_of, level_of

T = TypeVar("T")

Paths = Mapping[str, tuple[tuple[str, str], ...]]
"""Code and title of every step from the sector down to a code, by code."""
FEW: Final = 11
"""The limit written in nearest.cypher."""
LOCK_TIMEOUT = 5.0


class LadybugStore(ReadingStore):
    """A GraphStore in one file. A file that does not exist reads as an empty database.

    Args:
        path: the file. Its folder is created by the first write.
        read_only: refuse to write; then the file must exist.
        lock_timeout: seconds to wait while another process writes.

    Raises:
        DatabaseError: `read_only`, and there is no database.
    """

    dialect = DIALECT

    def __init__(
        self, path: Path, *, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT
    ) -> None:
        self._file = DatabaseFile(path, lock_timeout=lock_timeout)
        self._read_only = read_only
        self._guard = threading.RLock()
        self._opened: Opened | None = None
        self._seen: Fingerprint | None = None
        self._inside = 0
        self._paths: dict[str, Paths] = {}
        if read_only and self._file.fingerprint is None:
            raise DatabaseError(
                "there is no database", where=self.location, do="run `naics-graph load` first"
            )

    def __repr__(self) -> str:
        return f"LadybugStore({self.location!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._file.path, self._read_only)

    @property
    def location(self) -> str:
        return str(self._file.path)

    def close(self) -> None:
        with self._guard:
            opened, self._opened, self._seen = self._opened, None, None
            self._paths.clear()
            if opened is not None:
                opened.close()

    # Schema

    def migrate(self) -> list[str]:
        if not self._pending():
            return []
        self._check_writable()
        with self._file.replaced() as new:
            # Another writer may have come first.
            pending = self._pending()
            if self._file.fingerprint is not None:
                self._file.copy_to(new)
            with Opened(new, read_only=False, where=self.location) as database:
                for migration in pending:
                    _apply(database, migration, record=True)
        return [migration.name for migration in pending]

    def migrations(self) -> list[str]:
        if self._file.fingerprint is None:
            return []
        with self._file.open() as database:
            return self._recorded(database)

    def _recorded(self, database: Opened) -> list[str]:
        names = {row["name"] for row in _rows(database, "show_tables")}
        if names and "Migration" not in names:
            raise DatabaseError(
                f"the database is another program's (tables {', '.join(sorted(names))})",
                where=self.location,
                do="name another file with --database",
            )
        return [row["name"] for row in _rows(database, "migrations")] if names else []

    def _pending(self) -> list[Migration]:
        return pending_migrations(DIALECT, self.migrations(), self.location)

    # Writing

    def load(
        self, taxonomy: Taxonomy, *, dry_run: bool = False, progress: Progress | None = None
    ) -> LoadReport:
        started = time.perf_counter()
        if not dry_run:
            self._prepare()
        plan = self._plan(taxonomy)
        seen = self._seen
        if plan.changes and not dry_run:
            with self._file.replaced() as new, self._guard:
                if self._file.fingerprint != seen:
                    # Another writer came first.
                    plan = self._plan(taxonomy)
                self._write(new, tables_of.loaded(self._tables(), plan), progress)
        return plan.report(self.location, time.perf_counter() - started, dry_run=dry_run)

    def publish(
        self, info: EmbeddingSetInfo, rows: EmbeddingRows, *, activate: bool = True
    ) -> None:
        sets.check_rows(info, rows)

        def change(tables: Tables) -> Tables:
            if info.id in tables["EmbeddingSet"]["id"].to_pylist():
                raise sets.set_exists(info.id, self.location)
            loaded = {row["code"] for row in self.run("industries", vintage=info.vintage)}
            sets.check_loaded(info, rows.codes, loaded)
            tables = tables_of.published(tables, info, rows)
            return tables_of.activated(tables, info.vintage, info.id) if activate else tables

        self._change(change)

    def activate_set(self, set_id: str) -> None:
        self._change(
            lambda tables: tables_of.activated(tables, self._set(set_id)["vintage"], set_id)
        )

    def delete_set(self, set_id: str) -> None:
        def change(tables: Tables) -> Tables:
            if self._set(set_id)["status"] == "active":
                raise sets.set_is_active(set_id, self.location)
            return tables_of.without_set(tables, set_id)

        self._change(change)

    def _set(self, set_id: str) -> Row:
        found = self.run("embedding_set", id=set_id)
        if not found:
            raise sets.no_such_set(set_id, self.location)
        return found[0]

    def _prepare(self) -> None:
        """Make sure we may write, and to the newest schema; a new file gets it with its rows."""
        self._check_writable()
        if self._file.fingerprint is not None:
            self.migrate()

    def _change(self, change: Callable[[Tables], Tables]) -> None:
        """Replace the database by its changed tables; with an error, keep it."""
        self._prepare()
        with self._file.replaced() as new, self._guard:
            self._write(new, change(self._tables()), None)

    def _tables(self) -> Tables:
        return tables_of.read_tables(self._current(), self.location)

    def _write(self, new: Path, tables: Tables, progress: Progress | None) -> None:
        with Opened(new, read_only=False, where=self.location) as database:
            # One transaction: every statement alone would wait for the disk.
            database.execute("BEGIN TRANSACTION")
            _create(database, record=not tables["Migration"].num_rows)
            tables_of.write_tables(database, tables, progress)
            database.execute("COMMIT")

    def _plan(self, taxonomy: Taxonomy) -> LoadPlan:
        with self._one_state():
            found = self.run("vintage", vintage=taxonomy.vintage)
            return read_plan(taxonomy, self.run, found[0]["version"] if found else None)

    def _check_writable(self) -> None:
        if self._read_only:
            raise DatabaseError(
                "the database was opened for reading", where=self.location, do="open it for writing"
            )

    # Reading

    def run(self, query: str, **parameters: Any) -> list[Row]:
        with self._one_state() as database:
            return _rows(database, query, **parameters)

    def nearest(self, request: NearestRequest) -> list[Neighbour]:
        # One more, for the code to leave out: the scan is quicker without asking.
        limit = request.limit + (request.exclude is not None)
        parameters: dict[str, Any] = {
            "levels": list(LEVELS) if request.level is None else [request.level],
            "knn": np.asarray(request.knn_query, dtype=np.float64).tolist(),
        }
        with self._one_state():
            if request.within is not None:
                within = key_of(request.vintage, request.within)
                rows = self.run("nearest_within", within=within, limit=limit, **parameters)
            elif limit <= FEW:
                rows = self.run("nearest", vintage=request.vintage, **parameters)
            else:
                rows = self.run("nearest_many", vintage=request.vintage, limit=limit, **parameters)
            if not rows and not self.run("active_set", vintage=request.vintage):
                raise sets.no_active_set(request.vintage, self.location)
            paths = self._paths_of(request.vintage)
        kept = [row for row in rows if row["code"] != request.exclude][: request.limit]
        return [self._neighbour(row, request, paths) for row in kept]

    def _neighbour(self, row: Row, request: NearestRequest, paths: Paths) -> Neighbour:
        embedding = np.array(row["embedding"], dtype=np.float64)
        sets.check_dims(len(embedding) - 1, request.point, row["embedding_set"], self.location)
        code = row["code"]
        path = paths[code]
        return Neighbour(code, path[-1][1], level_of(code), embedding, row["embedding_set"], path)

    def _paths_of(self, vintage: str) -> Paths:
        """The paths of all codes of a vintage, read once of every state of the file."""
        if vintage not in self._paths:
            self._paths[vintage] = _paths(self.run("nearest_paths", vintage=vintage))
        return self._paths[vintage]

    def _steady(self, vintage: str, read: Callable[[Row], T]) -> T:
        with self._one_state():
            return read(self._vintage(vintage))

    @contextlib.contextmanager
    def _one_state(self) -> Iterator[Opened]:
        """All that is read inside sees one state of the database; one thread at a time."""
        with self._guard:
            database = self._current() if self._opened is None or not self._inside else self._opened
            self._inside += 1
            try:
                yield database
            finally:
                self._inside -= 1

    def _current(self) -> Opened:
        """The database as it is now: opened again when the file was replaced."""
        fingerprint = self._file.fingerprint
        while self._opened is None or fingerprint != self._seen:
            self.close()
            self._opened = self._open(fingerprint)
            self._seen, fingerprint = fingerprint, self._file.fingerprint
        return self._opened

    def _open(self, fingerprint: Fingerprint | None) -> Opened:
        if fingerprint is None:
            return _nothing(self.location)
        database = self._file.open()
        try:
            applied = self._recorded(database)
            pending = pending_migrations(DIALECT, applied, self.location)
            if not pending:
                return database
            if applied:
                raise DatabaseError(
                    f"the database has an older schema (without {pending[0].name})",
                    where=self.location,
                    do="repeat the `naics-graph load` that filled it: it updates the schema",
                )
        except DatabaseError:
            database.close()
            raise
        database.close()
        return _nothing(self.location)


def _nothing(where: str) -> Opened:
    """The schema without rows, in memory: what a database holds before its first load."""
    database = Opened(None, read_only=False, where=where)
    _create(database)
    return database


def _reopen(path: Path, read_only: bool) -> LadybugStore:
    return LadybugStore(path, read_only=read_only)


def _rows(database: Opened, query: str, **parameters: Any) -> list[Row]:
    result = database.execute(_query(query), parameters)
    names = result.get_column_names()
    return [dict(zip(names, row, strict=True)) for row in result.get_all()]


def _query(name: str) -> str:
    return load_query(DIALECT, name)


def _create(database: Opened, *, record: bool = False) -> None:
    """The whole schema, without rows; with `record` its migrations are recorded as applied."""
    for migration in known_migrations(DIALECT):
        _apply(database, migration, record=record)


def _apply(database: Opened, migration: Migration, *, record: bool) -> None:
    for statement in migration.statements:
        database.execute(statement)
    if record:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        database.execute(_query("record_migration"), {"name": migration.name, "applied": now})


def _paths(rows: Sequence[Row]) -> Paths:
    by_code = {row["code"]: row for row in rows}

    def path(code: str) -> tuple[tuple[str, str], ...]:
        row = by_code[code]
        above = path(row["parent"]) if row["parent"] in by_code else ()
        return (*above, (code, row["title"]))

    return {code: path(code) for code in by_code}
