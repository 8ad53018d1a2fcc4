"""A command starts again with huge pages, once, as it was."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from naics_graph.huge_pages import HUGE, TUNABLES

SCRIPT = """
import os, pathlib, sys
from naics_graph.huge_pages import restart_with_huge_pages
print("started", os.getpid(), *sys.argv[1:], os.environ.get("GLIBC_TUNABLES"))
restart_with_huge_pages(pathlib.Path(sys.argv[1]))
print("works", os.getpid(), *sys.argv[1:], sys.flags.optimize)
"""
has_glibc = platform.libc_ver() >= ("glibc", "2.35")


def started(policy: Path, folder: Path, **environment: str) -> list[str]:
    """What a script prints that asks for huge pages under a policy of the kernel."""
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if key != TUNABLES}
    done = subprocess.run(
        [sys.executable, "-O", str(script), str(policy), "an argument"],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(not has_glibc, reason="NOT TESTED: no glibc of 2.35 or later")
def test_it_starts_again_once_as_the_same_process_with_its_arguments(tmp_path: Path) -> None:
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n", encoding="ascii")
    first, second, works = started(policy, tmp_path)
    process = first.split()[1]
    assert first == f"started {process} {policy} an argument None"
    assert second == f"started {process} {policy} an argument {HUGE}"
    assert works == f"works {process} {policy} an argument 1"


@pytest.mark.parametrize("policy", ["[always] madvise never\n", "always madvise [never]\n", None])
def test_it_goes_on_where_the_kernel_does_not_ask_for_advice(
    tmp_path: Path, policy: str | None
) -> None:
    file = tmp_path / "enabled"
    if policy is not None:
        file.write_text(policy, encoding="ascii")
    assert [line.split()[0] for line in started(file, tmp_path)] == ["started", "works"]


@pytest.mark.parametrize("tunables", ["", "glibc.malloc.hugetlb=0"])
def test_it_leaves_a_choice_of_the_user_alone(tmp_path: Path, tunables: str) -> None:
    policy = tmp_path / "enabled"
    policy.write_text("always [madvise] never\n", encoding="ascii")
    lines = started(policy, tmp_path, GLIBC_TUNABLES=tunables)
    assert [line.split()[0] for line in lines] == ["started", "works"]
