"""Let training take its memory in huge pages, which glibc asks the kernel for only if told to.

A step of stage 3 makes and frees tensors of megabytes. In pages of 4 KiB that costs a fault for
each page and, in a virtual machine, a walk of two page tables for each miss: `docs/training.md` has
what that is worth.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Final

POLICY: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
TUNABLES: Final = "GLIBC_TUNABLES"
HUGE: Final = "glibc.malloc.hugetlb=1"
_FIRST_GLIBC: Final = (2, 35)


def restart_with_huge_pages(policy: Path = POLICY) -> None:
    """Start this process's command again with GLIBC_TUNABLES=glibc.malloc.hugetlb=1.

    glibc reads the variable at the start alone. The process keeps its id, its files and its
    arguments; whatever it did before is done again, so call this first. Nothing happens where the
    variable is set, to anything, where the kernel's policy is not `madvise`, or with a glibc
    before 2.35.
    """
    if TUNABLES in os.environ or not _offered(policy):
        return
    os.environ[TUNABLES] = HUGE
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _offered(policy: Path) -> bool:
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < _FIRST_GLIBC:
        return False
    try:
        return "[madvise]" in policy.read_text(encoding="ascii")
    except OSError:
        return False
