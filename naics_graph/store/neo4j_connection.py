"""One Neo4j server: opening it, transactions, and what its errors mean to a user.

The password lives in the driver alone: no attribute, message or pickle of ours holds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import (
    AuthError,
    ConfigurationError,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
)

from naics_graph.errors import DatabaseError
from naics_graph.settings import Neo4jAuth
from naics_graph.store.contract import Row

OLDEST: Final = (5, 23)
"""The first server with `CALL (x) { ... }`."""

START: Final = (
    "start it (docker/neo4j/server start, or docker compose -f docker/compose.yaml up -d) "
    "or correct NEO4J_URI"
)
# Server codes (a part of them is enough) -> what was seen, what to do.
REMEDIES: Final[Mapping[str, tuple[str, str]]] = {
    "AuthenticationRateLimit": (
        "the server refuses further log-ins after too many wrong passwords",
        "wait some seconds, then correct NEO4J_USERNAME and NEO4J_PASSWORD",
    ),
    "CredentialsExpired": (
        "the password has expired and must be changed before anything else",
        "run ALTER CURRENT USER SET PASSWORD in cypher-shell, then set NEO4J_PASSWORD",
    ),
    "DatabaseNotFound": (
        "the server has no database of this name",
        "correct NEO4J_DATABASE (Community edition has one, `neo4j`)",
    ),
    "DatabaseUnavailable": (
        "the database is there but not online",
        "look at the server's log; `SHOW DATABASES` says why",
    ),
    "OutOfMemory": (
        "the server ran out of memory",
        "raise its heap (-Xmx) or dbms.memory.transaction.total.max",
    ),
    "OutOfDiskSpace": (
        "the server has no room on its disk",
        "free some, and try again: what was there before is intact",
    ),
    "AccessMode": (
        "a query that writes was run for reading",
        "use the commands that write: load, train, sets",
    ),
    "Security.Forbidden": (
        "the user may not do this",
        "use a user with the rights to read, write and change the schema",
    ),
    "ReadOnly": (
        "the database is read-only",
        "set server.databases.read_only in its configuration, or use another",
    ),
}

T = TypeVar("T")


class Connection:
    """A driver bound to one database of one server.

    Args:
        uri: `neo4j://`, `bolt://` and their `+s` and `+ssc` forms.
        auth: user name, password, name of the database.

    Raises:
        DatabaseError: no server, wrong credentials or database name, or a server that is too old.
    """

    def __init__(self, uri: str, auth: Neo4jAuth) -> None:
        self.location = uri if auth.database == "neo4j" else f"{uri} (database {auth.database})"
        self.uri, self.database, self._user = uri, auth.database, auth.username
        with self._opening():
            self._driver = neo4j.GraphDatabase.driver(
                uri,
                auth=(auth.username, auth.password),
                connection_timeout=10,
                # Retries repeat idempotent work; a server that is gone is reported soon.
                max_transaction_retry_time=5,
                notifications_min_severity="OFF",
                user_agent="naics-graph",
            )
        try:
            self.version = self._check_version()
        except BaseException:
            self._driver.close()
            raise

    def __repr__(self) -> str:
        return f"Connection({self.location!r}, user={self._user!r})"

    def close(self) -> None:
        """Close every connection. Idempotent."""
        self._driver.close()

    def read(self, query: str, **parameters: Any) -> list[Row]:
        """Rows of one read query, sent to a reader and refused if it writes.

        One round trip, a third of what a managed transaction takes; an error that passes by itself
        (a server that restarted, a leader that changed) is tried again in a managed one.
        """
        with self.errors():
            try:
                with self._reader() as session:
                    return rows(session.run(query, parameters))
            except (Neo4jError, DriverError) as error:
                if not error.is_retryable():
                    raise
            with self._reader() as session:
                return session.execute_read(lambda tx: rows(tx.run(query, parameters)))

    def _reader(self) -> neo4j.Session:
        return self._driver.session(
            database=self.database,
            default_access_mode=neo4j.READ_ACCESS,
            bookmark_manager=self._driver.execute_query_bookmark_manager,
        )

    def schema(self, statement: str) -> None:
        """Run one schema statement, alone in its transaction, and wait for indexes to be filled."""
        with self._session() as session:
            session.run(statement).consume()
            session.run("CALL db.awaitIndexes(300)").consume()

    def retried(self, work: Callable[[neo4j.ManagedTransaction], T]) -> T:
        """Run idempotent work in one transaction; deadlocks and lost connections repeat it."""
        with self._session() as session:
            return session.execute_write(work)

    @contextmanager
    def transaction(self) -> Iterator[neo4j.Transaction]:
        """One explicit transaction: committed at the end, rolled back by any exception."""
        with self._session() as session, session.begin_transaction() as transaction:
            yield transaction
            transaction.commit()

    @contextmanager
    def _session(self) -> Iterator[neo4j.Session]:
        bookmarks = self._driver.execute_query_bookmark_manager
        with (
            self.errors(),
            self._driver.session(database=self.database, bookmark_manager=bookmarks) as session,
        ):
            yield session

    def _check_version(self) -> tuple[int, int]:
        # An auto-commit query: unlike a managed one it is not retried while nobody answers.
        with self._session() as session:
            agent = session.run("RETURN 1").consume().server.agent
        found = re.search(r"(\d+)\.(\d+)", agent)
        version = (int(found[1]), int(found[2])) if found else (0, 0)
        if version < OLDEST:
            raise DatabaseError(
                f"the server is {agent}, older than {OLDEST[0]}.{OLDEST[1]}",
                where=self.location,
                do="use Neo4j 5.26 or newer (docker/neo4j/server start runs one)",
            )
        return version

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except (ConfigurationError, ValueError) as error:
            raise DatabaseError(
                f"the address cannot be used: {error}",
                where=self.location,
                do="write it as neo4j://host:7687 or bolt://host:7687",
            ) from error

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the driver raises into a DatabaseError with a remedy."""
        try:
            yield
        except (Neo4jError, DriverError) as error:
            saw, do = explain(error, self._user)
            raise DatabaseError(saw, where=self.location, do=do) from error


def rows(result: neo4j.Result) -> list[Row]:
    """All rows as dictionaries."""
    keys = result.keys()
    return [dict(zip(keys, values, strict=True)) for values in result.values()]


def explain(error: Neo4jError | DriverError, user: str) -> tuple[str, str]:
    """What an error of the driver or the server means, and what to do about it."""
    code, said = str(getattr(error, "code", None) or ""), str(getattr(error, "message", error))
    if "no space left" in said.lower():
        code = "OutOfDiskSpace"
    for part, remedy in REMEDIES.items():
        if part in code:
            return remedy
    if isinstance(error, AuthError):
        return (
            f"the server refuses the password of user {user!r}",
            "set NEO4J_USERNAME and NEO4J_PASSWORD (environment or .env)",
        )
    first = said.partition("\n")[0] or repr(error)
    if isinstance(error, ServiceUnavailable | SessionExpired):
        return f"no Neo4j server answers: {first}", START
    return (
        f"the server refuses: {first} ({code or type(error).__name__})",
        "look at the server's log; if the query is one of ours, report it",
    )
