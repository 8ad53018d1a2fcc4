"""`docker/neo4j/server`: what it finds, refuses and hides, with a false and a real Java."""

from __future__ import annotations

import re
import runpy
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from tests.neo4j_server import SCRIPT, Neo4jServer, run_script

PASSWORD = '-it\'s "odd" \\ $HOME'
FALSE_JAVA = """#!/bin/sh
here=$(dirname "$0")
case "$1" in
  -version) echo 'openjdk version "@VERSION@.0.1" 2026-01-01' >&2 ;;
  @*) echo "$@" > "$here/arguments"; ls -l "${1#@}" > "$here/mode"; cat "${1#@}" > "$here/file"
      env > "$here/environment" ;;
  *) echo "$@" > "$here/server"; env > "$here/environment"; echo "port is taken"; exit 1 ;;
esac
"""


@pytest.fixture
def java(tmp_path: Path) -> Path:
    """A JAVA_HOME whose java says it is 17 and records how it was called."""
    return make_java(tmp_path / "jdk", 17)


def make_java(home: Path, version: int) -> Path:
    binary = home / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(FALSE_JAVA.replace("@VERSION@", str(version)), encoding="utf-8")
    binary.chmod(0o755)
    return home


def start(
    tmp_path: Path, java: Path, *arguments: str, path: str = "/usr/bin:/bin", password: str = ""
) -> subprocess.CompletedProcess[str]:
    """Start with a false Java in a fresh home; jars count as cached."""
    (tmp_path / "cache" / "5.26.31" / "lib").mkdir(parents=True, exist_ok=True)
    return run_script(
        "start",
        "--home",
        str(tmp_path / "home"),
        "--cache",
        str(tmp_path / "cache"),
        *(arguments or ("--line", "5.26")),
        JAVA_HOME=str(java),
        PATH=path,
        NEO4J_PASSWORD=password,
    )


def test_the_password_is_in_no_argument_and_no_environment(tmp_path: Path, java: Path) -> None:
    done = start(tmp_path, java, password=PASSWORD)
    assert done.returncode == 4
    seen = {name: (java / "bin" / name).read_text() for name in ("arguments", "server")}
    seen["environment"] = (java / "bin" / "environment").read_text()
    seen["output"] = done.stdout + done.stderr
    for where, text in seen.items():
        assert "odd" not in text, where
    # The file the launcher reads is the owner's alone, quoted as the launcher expects, and gone.
    assert (java / "bin" / "mode").read_text().startswith("-rw-------")
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    assert (java / "bin" / "file").read_text().endswith(f'"--"\n"{quoted}"')
    assert not list((tmp_path / "home").glob("*.args"))


def test_the_password_is_kept_for_its_owner_alone(tmp_path: Path, java: Path) -> None:
    start(tmp_path, java, password=PASSWORD)
    kept = tmp_path / "home" / "neo4j.env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert f"NEO4J_PASSWORD={shlex.quote(PASSWORD)}\n" in kept.read_text()
    shell = f'set -a; . {shlex.quote(str(kept))}; printf %s "$NEO4J_PASSWORD"'
    assert subprocess.check_output(["/bin/sh", "-c", shell], text=True) == PASSWORD


def test_a_password_is_generated_once(tmp_path: Path, java: Path) -> None:
    kept = tmp_path / "home" / "neo4j.env"
    passwords = set()
    for _ in range(2):
        start(tmp_path, java)
        found = re.search(r"^NEO4J_PASSWORD=([0-9a-f]{32})$", kept.read_text(), re.MULTILINE)
        assert found
        passwords.add(found[1])
    assert len(passwords) == 1


@pytest.mark.parametrize("password", ["tiny 7!", "with\nline end"])
def test_a_password_that_cannot_be_is_refused(tmp_path: Path, java: Path, password: str) -> None:
    done = start(tmp_path, java, password=password)
    assert done.returncode == 4
    assert "8 characters" in done.stderr
    assert password not in done.stderr


def test_another_password_for_a_home_is_refused(tmp_path: Path, java: Path) -> None:
    start(tmp_path, java, password="the first one")
    done = start(tmp_path, java, password="the other one")
    assert "differs" in done.stderr
    assert "one" not in done.stderr.replace("one-", "").partition("do:")[0]


def test_a_server_that_dies_is_reported_with_its_words(tmp_path: Path, java: Path) -> None:
    done = start(tmp_path, java)
    assert (done.returncode, done.stdout) == (4, "")
    assert "port is taken" in done.stderr
    assert "console.log" in done.stderr


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "no Java found"),
        ([(11, Path("/opt/jdk-11/bin/java"))], "Java 11 at /opt/jdk-11/bin/java"),
    ],
)
def test_java_that_is_absent_or_too_old_is_named(
    monkeypatch: pytest.MonkeyPatch, found: list[tuple[int, Path]], said: str
) -> None:
    script = runpy.run_path(str(SCRIPT))
    choose = script["choose"]
    monkeypatch.setitem(choose.__globals__, "find_java", lambda: found)
    with pytest.raises(script["RefusedError"]) as caught:
        choose(("2026", "5.26"))
    assert said in str(caught.value)
    assert "Java 21 or newer for Neo4j 2026 or Java 17 or newer for Neo4j 5.26" in str(caught.value)
    assert "set JAVA_HOME" in str(caught.value)


def test_an_unknown_line_is_a_usage_error(tmp_path: Path, java: Path) -> None:
    done = start(tmp_path, java, "--line", "9999")
    assert done.returncode == 2
    assert "give auto, 2026 or 5.26" in done.stderr


def test_the_newest_line_a_java_can_run_is_taken(tmp_path: Path) -> None:
    java = make_java(tmp_path / "new", 25)
    (tmp_path / "cache" / "2026.09.0" / "lib").mkdir(parents=True)
    start(tmp_path, java, "--line", "auto")
    assert "Neo4jCommunity" in (java / "bin" / "server").read_text()


def test_maven_is_missed_only_when_it_is_needed(tmp_path: Path, java: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "ls", "cat", "env", "ps"):
        found = next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists())
        (tools / name).symlink_to(found)
    assert "Maven" not in start(tmp_path, java, path=str(tools)).stderr
    (tmp_path / "cache" / "5.26.31" / "lib").rmdir()
    (tmp_path / "cache" / "5.26.31").rename(tmp_path / "cache" / "elsewhere")
    done = run_script(
        *("start", "--home", str(tmp_path / "home"), "--cache", str(tmp_path / "cache")),
        *("--line", "5.26"),
        JAVA_HOME=str(java),
        PATH=str(tools),
    )
    assert done.returncode == 4
    assert "Maven (mvn) is not on the PATH" in done.stderr
    assert "install it" in done.stderr


def test_a_home_keeps_its_line(tmp_path: Path, java: Path) -> None:
    start(tmp_path, java)
    newer = make_java(tmp_path / "new", 25)
    (tmp_path / "cache" / "2026.09.0" / "lib").mkdir(parents=True)
    done = start(tmp_path, newer, "--line", "2026")
    assert done.returncode == 4
    assert "holds data of the 5.26 line" in done.stderr


def test_status_and_stop_of_nothing(tmp_path: Path) -> None:
    home = str(tmp_path / "never")
    status = run_script("status", "--home", home)
    assert (status.returncode, status.stdout) == (3, f"not running: {home}\n")
    assert run_script("stop", "--home", home).returncode == 0


def test_a_running_server_is_left_alone_and_shows_no_password(neo4j_server: Neo4jServer) -> None:
    if neo4j_server.home is None:
        pytest.skip("NOT TESTED: this session was given a server of its own")
    home = str(neo4j_server.home)
    status = run_script("status", "--home", home)
    again = run_script("start", "--home", home)
    assert (status.returncode, again.returncode) == (0, 0)
    assert status.stdout == again.stdout, "the same process, port and version"
    assert f"NEO4J_URI={neo4j_server.uri}\n" in status.stdout
    processes = subprocess.check_output(["ps", "-ww", "-eo", "args"], text=True)
    assert f"--home-dir={home}" in processes
    assert neo4j_server.password not in status.stdout + again.stderr + processes
    assert neo4j_server.uri.startswith("bolt://127.0.0.1:")
    other = run_script("start", "--home", home, "--port", "1")
    assert other.returncode == 4
    assert "already runs" in other.stderr
    assert stat.S_IMODE(Path(home, "neo4j.env").stat().st_mode) == 0o600
