"""The embedded database's file: locks, damage, replacement, full disks."""

from __future__ import annotations

import contextlib
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from naics_graph.errors import DatabaseError
from naics_graph.store.ladybug import LadybugStore
from naics_graph.store.ladybug_tables import TABLES
from tests.store.conftest import write_ladybug
from tests.store.sample import ECHO, SEALED, retitled, sample, sample_set

HOLD_OUR_LOCK = """
import sys, filelock
with filelock.FileLock(sys.argv[1] + ".lock"):
    print("ready", flush=True)
    sys.stdin.read()
"""
HOLD_LADYBUG = """
import sys, ladybug
database = ladybug.Database(sys.argv[1], max_db_size=1 << 34, buffer_pool_size=1 << 28)
connection = ladybug.Connection(database)
print("ready", flush=True)
sys.stdin.read()
"""
LOG_AND_DIE = """
import os, sys, ladybug
database = ladybug.Database(
    sys.argv[1], max_db_size=1 << 34, buffer_pool_size=1 << 28, auto_checkpoint=False
)
ladybug.Connection(database).execute("MATCH (n:Industry {code: '11'}) SET n.title = 'Theirs'")
os._exit(0)
"""
READ_ALL_THE_TIME = """
import pickle, sys
store = pickle.load(sys.stdin.buffer)
print("ready", flush=True)
seen = set()
while "last" not in seen:
    with pickle.loads(pickle.dumps(store)) as fresh:
        codes, points = fresh.read_set("first")
        assert points.shape == (len(codes), 17), points.shape
        (active,) = [s.id for s in fresh.embedding_sets() if s.status == "active"]
        seen.add(active)
print(len(seen), flush=True)
"""
LOAD_ONTO_A_FULL_DISK = """
import pickle, resource, signal, sys
from naics_graph.errors import DatabaseError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store, taxonomy = pickle.load(sys.stdin.buffer)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    store.load(taxonomy)
except DatabaseError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may come to lie."""
    return tmp_path / "naics.lbug"


@pytest.fixture
def store(path: Path) -> Iterator[LadybugStore]:
    """A store that holds the sample and the set `first`."""
    with LadybugStore(path, lock_timeout=0) as opened:
        opened.load(sample())
        opened.publish(*sample_set(sample(), "first"))
        yield opened


@contextlib.contextmanager
def running(script: str, path: Path) -> Iterator[None]:
    """A process that has said that it is ready; ended on leaving."""
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.communicate()


def files(path: Path) -> set[str]:
    """What lies in the folder of a database, its lock file left out."""
    return {file.name for file in path.parent.iterdir()} - {path.name + ".lock"}


def test_a_load_without_changes_leaves_the_file_alone(store: LadybugStore, path: Path) -> None:
    before = path.stat()
    store.load(sample())
    store.migrate()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    store.load(sample(split=True))
    assert path.stat().st_ino != before.st_ino
    assert files(path) == {path.name}


def test_nothing_is_created_before_the_first_write(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "naics.lbug"
    with LadybugStore(path) as store:
        assert store.load(sample(), dry_run=True).created
        assert store.vintages() == store.migrations() == []
        assert store.embedding_sets() == []
        assert store.counts()["Industry"] == 0
        assert not (tmp_path / "a").exists()
        store.load(sample())
    assert path.is_file()


def test_a_database_to_read_must_exist(path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"there is no database[^§]*naics-graph load"):
        LadybugStore(path, read_only=True)


def test_an_empty_file_is_an_empty_database(path: Path) -> None:
    path.touch()
    with LadybugStore(path) as store:
        assert store.vintages() == []
        store.load(sample())
        assert store.taxonomy() == sample()


def test_a_store_for_reading_refuses_to_write(store: LadybugStore, path: Path) -> None:
    info, rows = sample_set(sample(), "second")
    with LadybugStore(path, read_only=True) as reader:
        writes: list[Callable[[], object]] = [
            lambda: reader.load(sample(split=True)),
            lambda: reader.publish(info, rows),
            lambda: reader.activate_set("first"),
            lambda: reader.delete_set("first"),
        ]
        for write in writes:
            with pytest.raises(DatabaseError, match=r"opened for reading"):
                write()
        assert reader.taxonomy() == store.taxonomy() == sample()


@pytest.mark.parametrize("script", [HOLD_OUR_LOCK, HOLD_LADYBUG], ids=["ours", "ladybug"])
def test_another_writer_is_an_error_and_reading_goes_on(
    store: LadybugStore, path: Path, script: str
) -> None:
    with running(script, path):
        with pytest.raises(DatabaseError, match=r"locked by another process[^§]*repeat"):
            store.load(sample(split=True))
        assert store.taxonomy() == sample()
    store.load(sample(split=True))
    assert store.taxonomy() == sample(split=True)


def test_unfinished_writes_of_another_program_are_not_lost(store: LadybugStore, path: Path) -> None:
    subprocess.run([sys.executable, "-c", LOG_AND_DIE, str(path)], check=True)
    assert path.with_name(path.name + ".wal").stat().st_size
    with pytest.raises(DatabaseError, match=r"unfinished writes in naics.lbug.wal"):
        store.load(sample(split=True))
    write_ladybug(path)
    store.load(sample(), dry_run=True)
    assert store.taxonomy() == retitled(sample(), "11", "Theirs")


def test_a_reader_in_another_process_never_fails(store: LadybugStore) -> None:
    command = [sys.executable, "-c", READ_ALL_THE_TIME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(store))
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        for seed, name in enumerate(("second", "third", "last"), start=1):
            store.publish(*sample_set(sample(), name, seed=seed))
        assert int(process.stdout.readline()) >= 1
    assert process.returncode == 0


def test_a_full_disk_leaves_the_old_database(store: LadybugStore, path: Path) -> None:
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ONTO_A_FULL_DISK],
        input=pickle.dumps((store, retitled(sample(), "11", "New"))),
        capture_output=True,
        check=False,
    )
    assert done.returncode == DatabaseError.exit_code, done
    assert b"space" in done.stdout
    assert path.read_bytes() == before
    assert files(path) == {path.name}


def test_leftovers_of_a_killed_writer_go_with_the_next(store: LadybugStore, path: Path) -> None:
    for suffix in (".writing", ".writing.wal"):
        path.with_name(path.name + suffix).write_bytes(b"half")
    store.load(sample(split=True))
    assert files(path) == {path.name}


def test_a_link_and_the_mode_of_the_file_stay(store: LadybugStore, path: Path) -> None:
    path.chmod(0o640)
    link = path.with_name("link.lbug")
    link.symlink_to(path)
    with LadybugStore(link) as linked:
        linked.load(sample(split=True))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert store.taxonomy() == sample(split=True)


def test_no_byte_of_a_sealed_text_stays_in_the_file(store: LadybugStore, path: Path) -> None:
    assert {text for text in (SEALED, ECHO) if text.encode() in path.read_bytes()} == {SEALED, ECHO}
    store.load(sample(split=True))
    assert {text for text in (SEALED, ECHO) if text.encode() in path.read_bytes()} == set()


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "junk":
        content[:] = b"no database at all " * 999
    elif how == "version":
        content[4] += 1  # The storage version follows the four letters LBUG.
    elif how == "cut":
        del content[len(content) // 2 :]
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("junk", r"not a ladybug database[^§]*--database"),
        ("version", r"another version of ladybug[^§]*install"),
        ("cut", r"damaged or cut off[^§]*load again"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(path: Path, how: str, message: str) -> None:
    with LadybugStore(path) as store:
        store.load(sample())
    damaged(path, how)
    before = path.read_bytes()
    with LadybugStore(path) as store:
        for ask in (store.vintages, lambda: store.load(sample()), store.migrate):
            with pytest.raises(DatabaseError, match=message):
                ask()
    assert path.read_bytes() == before


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with LadybugStore(tmp_path) as store, pytest.raises(DatabaseError, match="folder"):
        store.vintages()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    write_ladybug(path, "CREATE NODE TABLE Person(name STRING PRIMARY KEY)")
    with LadybugStore(path) as store:
        for ask in (store.vintages, lambda: store.load(sample())):
            with pytest.raises(DatabaseError, match=r"another program's \(tables Person\)"):
                ask()


def test_tables_of_another_program_are_not_lost(store: LadybugStore, path: Path) -> None:
    write_ladybug(path, "CREATE NODE TABLE Person(name STRING PRIMARY KEY)")
    with pytest.raises(DatabaseError, match=r"tables of another program: Person"):
        store.load(sample(split=True))
    assert store.taxonomy() == sample()


def test_an_older_schema_is_brought_up_to_date_by_a_load(path: Path) -> None:
    write_ladybug(path, "CREATE NODE TABLE Migration(name STRING PRIMARY KEY, applied STRING)")
    with LadybugStore(path) as store:
        store.load(sample())
        assert store.migrations() == ["0001_schema", "0002_moved"]
        assert store.taxonomy() == sample()


def test_an_older_schema_is_not_read(store: LadybugStore, path: Path) -> None:
    write_ladybug(path, "MATCH (m:Migration {name: '0002_moved'}) DELETE m")
    with pytest.raises(DatabaseError, match=r"without 0002_moved[^§]*repeat"):
        store.vintages()
    assert store.load(sample()).unchanged
    assert store.vintages() == ["2022"]
    assert [known.id for known in store.embedding_sets()] == ["first"]


def test_every_table_of_the_schema_is_copied(store: LadybugStore) -> None:
    assert [row["name"] for row in store.run("show_tables")] == sorted(TABLES)


def test_the_path_is_shown_in_full(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.chdir(path.parent)
    with LadybugStore(Path(path.name)) as store:
        assert store.location == os.fspath(path.resolve())
