"""One Neo4j server for the whole session, started by `docker/neo4j/server` on a temporary home.

With Java and Maven on the PATH a server that does not start fails the tests that need it; without
them they are skipped, and the end of the report says so. NAICS_GRAPH_TEST_NEO4J_URI names a server
to use instead, with NAICS_GRAPH_TEST_NEO4J_PASSWORD: everything in its database is deleted.
NAICS_GRAPH_TEST_NEO4J_LINE picks the line (default: 5.26 where a Java for it is found, else 2026).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from naics_graph.settings import Neo4jAuth
from naics_graph.store.neo4j import Neo4jStore

SCRIPT = Path(__file__).parents[1] / "docker" / "neo4j" / "server"
FIXTURES = frozenset({"neo4j_server", "neo4j_store"})
NOT_TESTED = "NOT TESTED: no Neo4j server, for "
WIPE = "MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS"


@dataclass(frozen=True)
class Neo4jServer:
    """A running server whose database tests may empty."""

    uri: str
    username: str
    password: str = field(repr=False)
    home: Path | None = None

    @property
    def auth(self) -> Neo4jAuth:
        """Credentials for `Neo4jStore`."""
        return Neo4jAuth(self.username, self.password, "neo4j")


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `docker/neo4j/server` without the caller's own NEO4J_ variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NEO4J_")}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    """The server of this session."""
    given = os.environ.get("NAICS_GRAPH_TEST_NEO4J_URI")
    if given:
        password = os.environ.get("NAICS_GRAPH_TEST_NEO4J_PASSWORD", "")
        user = os.environ.get("NAICS_GRAPH_TEST_NEO4J_USERNAME", "neo4j")
        yield Neo4jServer(given, user, password)
        return
    home = tmp_path_factory.mktemp("neo4j")
    line = os.environ.get("NAICS_GRAPH_TEST_NEO4J_LINE", "5.26,2026")
    started = run_script("start", "--attached", "--home", str(home), "--line", line)
    if started.returncode:
        if shutil.which("java") and shutil.which("mvn"):
            pytest.fail(f"Neo4j did not start:\n{started.stderr}", pytrace=False)
        pytest.skip(f"{NOT_TESTED}{started.stderr.strip()}")
    lines = (home / "neo4j.env").read_text(encoding="utf-8").splitlines()
    values = dict(entry.split("=", 1) for entry in lines)
    try:
        yield Neo4jServer(
            values["NEO4J_URI"], values["NEO4J_USERNAME"], values["NEO4J_PASSWORD"], home
        )
    finally:
        stopped = run_script("stop", "--home", str(home))
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def neo4j_store(neo4j_server: Neo4jServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Neo4jStore]:
    """A store on the server's emptied database; NEO4J_ variables name that server too."""
    monkeypatch.setenv("NEO4J_URI", neo4j_server.uri)
    monkeypatch.setenv("NEO4J_USERNAME", neo4j_server.username)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.password)
    monkeypatch.setenv("NEO4J_DATABASE", "neo4j")
    empty(neo4j_server)
    with Neo4jStore(neo4j_server.uri) as store:
        yield store


def empty(server: Neo4jServer) -> None:
    """Delete every node and relationship; the schema stays, and migrations find it there."""
    import neo4j

    auth = (server.username, server.password)
    with (
        neo4j.GraphDatabase.driver(
            server.uri, auth=auth, notifications_min_severity="OFF"
        ) as driver,
        driver.session(database="neo4j") as session,
    ):
        session.run(WIPE).consume()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark with `neo4j` whatever asks for the server."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.neo4j)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once more, in red, that Neo4j was not tested."""
    reasons = {
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    }
    missing = sorted(reason for reason in reasons if reason.startswith(NOT_TESTED))
    if missing:
        terminalreporter.section("Neo4j", red=True, bold=True)
        for reason in missing:
            terminalreporter.write_line(reason, red=True)
