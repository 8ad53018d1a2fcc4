"""Several processes of one command: who talks, whose message is shown, whose exit code it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from naics_graph import distributed

ROOT = Path(__file__).parent.parent

LAUNCH = """
import sys
from naics_graph.errors import NaicsGraphError
from naics_graph.launch import launch
try:
    code = launch(sys.argv[2:], int(sys.argv[1]), module="tests.rank")
except NaicsGraphError as error:
    print(error, file=sys.stderr)
    code = error.exit_code
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def launched(how: str, processes: int = 2) -> Ended:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCH, str(processes), how],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_the_first_process_alone_talks_and_the_cores_are_shared() -> None:
    threads = max(1, distributed.cores() // 2)
    assert launched("work") == Ended(0, f"rank 0: 1, {threads} threads\n", "")


def test_a_process_that_fails_ends_all_with_its_message_and_exit_code() -> None:
    ended = launched("say")
    assert ended.code == 3
    assert ended.err == "the last one stumbles\n  where: a rank\n  to do: pick it up\n"


def test_a_process_that_is_killed_ends_all_and_is_named() -> None:
    ended = launched("kill")
    assert ended.code == 1
    assert ended.err.startswith("process 1 was ended by SIGKILL")


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE"])
def test_a_process_knows_whether_it_was_launched(name: str) -> None:
    assert not distributed.is_launched({name: "0"})
    assert distributed.is_launched({"RANK": "0", "WORLD_SIZE": "2"})
