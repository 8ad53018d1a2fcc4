"""How much memory a training holds, and what to do where it was not enough."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch

from naics_graph.distributed import World
from naics_graph.errors import OutOfMemoryError

MIB: Final = 1 << 20

_NOT_ENOUGH: Final = re.compile(
    r"allocate memory|not enough memory|out of memory|"
    r"CU(BLAS|DNN)_STATUS_ALLOC_FAILED|std::bad_alloc",
    re.IGNORECASE,
)
"""What torch's allocators say of the CPU (Linux, Windows) and of GPUs, and what the libraries they
work for say: those of NVIDIA, which allocate for themselves, and C++.
"""

_STATUS: Final = Path("/proc/self/statm")


def resident_mib() -> float:
    """Resident set of this process in MiB: now on Linux, at its peak elsewhere (0 on Windows)."""
    if _STATUS.exists():
        import resource

        pages = int(_STATUS.read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / MIB
    if sys.platform == "win32":
        return 0.0
    import resource

    # Bytes on macOS, KiB on other systems.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def gpu_mib(device: torch.device) -> dict[str, float]:
    """Allocated, reserved and peak allocated memory of a GPU in MiB; empty for the CPU."""
    if device.type != "cuda":
        return {}
    return {
        "allocated_mib": torch.cuda.memory_allocated(device) / MIB,
        "reserved_mib": torch.cuda.memory_reserved(device) / MIB,
        "peak_mib": torch.cuda.max_memory_allocated(device) / MIB,
    }


def gpu_step(world: World, codes: int) -> dict[str, float]:
    """What is logged of a step on GPUs: `gpu_mib`, and how many of all codes, a query's candidates,
    came from other processes, each the greatest of all processes; empty for the CPU.

    The peak is that since the step before: the first step of an epoch has what was measured before
    it. Called by every process.
    """
    used = gpu_mib(world.device)
    if not used:
        return {}
    torch.cuda.reset_peak_memory_stats(world.device)
    own = world.shard(codes)
    used["gathered_negatives"] = codes - (own.stop - own.start)
    greatest = world.max(torch.tensor(list(used.values()), dtype=torch.float64))
    return dict(zip(used, greatest.tolist(), strict=True))


@contextmanager
def explained_shortage(where: str) -> Iterator[None]:
    """Turn a failed allocation of the block into an error that names what lowers the need.

    Raises:
        OutOfMemoryError: the memory of the machine or of its GPU was not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_short = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not is_short and not _NOT_ENOUGH.search(str(error)):
            raise
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise OutOfMemoryError(
            f"memory ran out: {first[:200]}",
            where=where,
            do="lower contrast.batch_size (where the backbone learns contrast.finetune.batch_size "
            "or contrast.finetune.tokens, or set contrast.finetune.recompute=true), "
            "contrast.objective.sampled_codes, refine.batch_size or backbone.batch_size "
            "(--set KEY=VALUE) in a new run, or give it more processes; "
            "the last checkpoint is intact, and --resume continues it where there is more memory",
        ) from error
