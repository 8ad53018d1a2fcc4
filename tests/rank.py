"""`python -m tests.rank HOW`: one of several launched processes, the last of which ends badly."""

from __future__ import annotations

import os
import signal
import sys

import torch

from naics_graph import distributed
from naics_graph.distributed import World
from naics_graph.errors import DataError, NaicsGraphError


def end(world: World, how: str) -> None:
    """What the last process does instead of its work."""
    if world.rank + 1 < world.size:
        return
    if how == "say":
        raise DataError("the last one stumbles", where="a rank", do="pick it up")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def main(how: str) -> int:
    """Sum the ranks; the exit code."""
    try:
        with distributed.start("cpu") as world:
            world.sum(torch.zeros(1))
            end(world, how)
            total = world.sum(torch.tensor([float(world.rank)]))
            print(f"rank {world.rank}: {total.item():.0f}, {torch.get_num_threads()} threads")
    except NaicsGraphError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
