"""One ladybug database file that is only ever replaced, never written to.

A reader of a file that a ladybug writer checkpoints fails for moments, so nobody writes to the
file readers have open: a writer holds `<file>.lock`, fills `<file>.writing` beside it, renames it
over the file when it is complete and on the disk. Whoever has the old file open keeps reading it.
What a killed writer left is removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from filelock import FileLock, Timeout

from naics_graph.errors import DatabaseError

MEMORY: Final = ":memory:"
_BUFFER_POOL: Final = 1 << 29
_LARGEST: Final = 1 << 34
"""Address space reserved for a database (16 GiB): the default, 8 TiB, fails under ulimit -v."""

Fingerprint = tuple[int, int, int, int]


class Opened:
    """An open database with one connection.

    Raises:
        DatabaseError: the file is not a database we can read, or is locked.
    """

    def __init__(self, path: Path | None, *, read_only: bool, where: str) -> None:
        import ladybug

        self._where = where
        with translated(where):
            self._database = ladybug.Database(
                MEMORY if path is None else str(path),
                read_only=read_only,
                buffer_pool_size=_BUFFER_POOL,
                max_db_size=_LARGEST,
            )
            self._connection = ladybug.Connection(self._database)

    def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> Any:
        """One statement; its result.

        Raises:
            DatabaseError: ladybug refuses it.
        """
        with translated(self._where):
            return self._connection.execute(statement, parameters or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, then the database: the other way round its lock stays."""
        self._connection.close()
        with translated(self._where):
            # A writer's checkpoint: a full disk shows here at the latest.
            self._database.close()


class DatabaseFile:
    """The file, its lock and its replacement.

    Args:
        path: the database; links are followed, so that a link is not replaced by a file.
        lock_timeout: seconds to wait for another writer of this package.
    """

    def __init__(self, path: Path, *, lock_timeout: float) -> None:
        self.path = path.resolve()
        self._lock_timeout = lock_timeout

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What changes when the file does; None when there is no database yet (or 0 bytes)."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return (
            (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
            if found.st_size
            else None
        )

    def open(self) -> Opened:
        """The database for reading."""
        return Opened(self.path, read_only=True, where=str(self.path))

    @contextlib.contextmanager
    def replaced(self) -> Iterator[Path]:
        """The path of a file to fill; leaving without an error puts it in the database's place.

        Raises:
            DatabaseError: another process writes, or the disk refuses; the old file is untouched.
        """
        with self._locked():
            self._remove_leftovers()
            new = self._beside(".writing")
            try:
                yield new
                self._put_in_place(new)
            except OSError as error:
                raise self._unusable(error) from error
            finally:
                self._remove_leftovers()

    def copy_to(self, new: Path) -> None:
        """Copy the database to `new`, inside `replaced`."""
        shutil.copyfile(self.path, new)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._beside(".lock"), timeout=self._lock_timeout)
            with lock:
                self._check_no_foreign_writer()
                yield
        except Timeout as error:
            raise self._in_use("another naics-graph process is writing to it") from error
        except OSError as error:
            raise self._unusable(error) from error

    def _check_no_foreign_writer(self) -> None:
        """A program that has the file open for writing through ladybug itself must not lose it."""
        if self.fingerprint is None:
            return
        log = self._beside(".wal")
        if log.exists() and log.stat().st_size:
            raise self._in_use(f"another program has unfinished writes in {log.name}")
        if sys.platform != "win32":
            import fcntl

            with self.path.open("r+b") as file:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except (BlockingIOError, PermissionError) as error:
                    raise self._in_use("another process has it open for writing") from error

    def _put_in_place(self, new: Path) -> None:
        if self.path.exists():
            shutil.copymode(self.path, new)
        with new.open("r+b") as file:
            os.fsync(file.fileno())
        new.replace(self.path)
        if sys.platform != "win32":
            # The rename itself must survive a power cut too.
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _remove_leftovers(self) -> None:
        prefix = self._beside(".writing").name
        for file in self.path.parent.iterdir():
            if file.name.startswith(prefix):
                file.unlink(missing_ok=True)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _in_use(self, saw: str) -> DatabaseError:
        return DatabaseError(
            f"the database is locked by another process: {saw}",
            where=str(self.path),
            do="wait until it has finished, or end it, and repeat the command",
        )

    def _unusable(self, error: OSError) -> DatabaseError:
        return DatabaseError(
            f"the database file cannot be used: {error.strerror or error}",
            where=str(error.filename or self.path),
            do="free disk space or allow access to the folder; the database is as it was",
        )


_MEANINGS: Final = (
    (
        "not a valid Lbug database",
        "the file is not a ladybug database",
        "name another file with --database, or move this one away",
    ),
    (
        "different version",
        "the database was written by another version of ladybug",
        "install the ladybug version that wrote it, or load into a new file",
    ),
    (
        "Could not set lock",
        "the database is locked by another process",
        "wait until it has finished, or end it, and repeat the command",
    ),
    ("cannot be a directory", "the database is a folder", "name a file with --database"),
    (
        "Cannot read checkpoint",
        "the database file is damaged or cut off",
        "restore it from a copy, or move it away and load again",
    ),
)


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Errors of ladybug (all RuntimeError) as ours.

    Raises:
        DatabaseError: with the remedy of the cause, where it is a known one.
    """
    try:
        yield
    except RuntimeError as error:
        message = " ".join(str(error).split())
        for pattern, saw, do in _MEANINGS:
            if pattern in message:
                raise DatabaseError(f"{saw} ({message})", where=where, do=do) from error
        raise DatabaseError(
            f"ladybug reports: {message}",
            where=where,
            do="check the query and its parameters, the disk's space and the file's permissions",
        ) from error
