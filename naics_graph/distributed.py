"""The processes of one training: who am I, and what the others have.

Every process holds the same weights and a share of a step's rows. Its loss is its share: the sum
over the processes is the loss one process would compute. Hence the two rules here. `gather_rows`
hands every process all rows, and its backward pass *sums* what all processes make of a row;
gradients of weights are *summed* (`reduce_gradients`), never averaged.

One process needs no process group: everything here is then the identity.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from naics_graph.errors import PeerLostError, UsageError

T = TypeVar("T")

CPU: Final = torch.device("cpu")

_PATIENCE: Final = timedelta(days=1)
"""How long a process waits for the others, who may be waiting for the first one's long work."""

_LINGER: Final = 15.0
"""Seconds a process that lost a peer waits for the launcher to end it: so that the launcher sees
the one that failed, not those that noticed."""

_LOST: Final = re.compile(r"peer|timed out|timeout|broken pipe|connection", re.IGNORECASE)
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class World:
    """The processes of this training and the place of this one among them.

    rank: 0 to size - 1; rank 0 alone reads the database and writes. local_rank, local_size: the
    same among the processes of this machine. device: where this process computes.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that reads and writes."""
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """The part of this process of `count` rows: contiguous, sizes differ by at most one."""
        whole, rest = divmod(count, self.size)
        start = self.rank * whole + min(self.rank, rest)
        return slice(start, start + whole + (self.rank < rest))

    def broadcast(self, value: T | None = None) -> T:
        """A Python object of rank 0, in every process. The others' argument is not read."""
        if self.size == 1:
            return cast(T, value)
        box: list[Any] = [value if self.is_main else None]
        with _peers():
            dist.broadcast_object_list(box, src=0, device=CPU)
        return cast(T, box[0])

    def on_main(self, work: Callable[[], T]) -> T:
        """What rank 0 makes of `work`, with all the machine's threads while the others wait."""
        if self.size == 1:
            return work()
        return self.broadcast(self.alone(work) if self.is_main else None)

    def alone(self, work: Callable[[], T]) -> T:
        """Run `work` with the threads of all processes of this machine, who are waiting."""
        threads = torch.get_num_threads()
        torch.set_num_threads(max(threads, min(cores(), threads * self.local_size)))
        try:
            return work()
        finally:
            torch.set_num_threads(threads)

    def gather(self, value: T) -> list[T]:
        """The Python object of every process, by rank, in every process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _peers():
            dist.all_gather_object(values, value)
        return values

    def max(self, values: Tensor) -> Tensor:
        """The greatest of all processes, elementwise; carries no gradient."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, elementwise; carries no gradient."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def _reduced(self, values: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size == 1:
            return values.detach()
        total = values.detach().clone()
        with _peers():
            dist.all_reduce(total, how)
        return total

    def gather_rows(self, rows: Tensor) -> Tensor:
        """All processes' rows, in the order of their ranks, with gradient.

        Backward, a row's gradient is the sum of what all processes make of it. Every process must
        run the backward pass through its result: one that does not leaves the others waiting.

        Args:
            rows: (m, ...) of this process; m may differ between processes and be 0.

        Returns:
            (sum of m, ...).
        """
        if self.size == 1:
            return rows
        gathered: Tensor = _GatherRows.apply(rows, self)  # type: ignore[no-untyped-call]
        return gathered

    def reduce_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every parameter's gradient over the processes, in place.

        A gradient that is missing in some processes counts as zero there; one that is missing in
        all stays missing.
        """
        if self.size == 1:
            return
        known = list(parameters)
        present = self.max(torch.tensor([int(p.grad is not None) for p in known]))
        groups: dict[torch.dtype, list[nn.Parameter]] = {}
        for parameter, is_present in zip(known, present.tolist(), strict=True):
            if is_present:
                groups.setdefault(parameter.dtype, []).append(parameter)
        for group in groups.values():
            self._sum_flat(group)

    def _sum_flat(self, group: list[nn.Parameter]) -> None:
        """One collective for all gradients of a type: many small ones take longer."""
        for parameter in group:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in group if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        with _peers():
            dist.all_reduce(flat)
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor, world: World) -> Tensor:
        context.world = world
        parts = _all_rows(rows.detach().contiguous(), world)
        start = sum(len(part) for part in parts[: world.rank])
        context.own = slice(start, start + len(rows))
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return context.world.sum(gradients[0].contiguous())[context.own], None


def _all_rows(rows: Tensor, world: World) -> list[Tensor]:
    """Every process's rows; shorter ones travel padded, for collectives want equal shapes."""
    mine = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(mine) for _ in range(world.size)]
    with _peers():
        dist.all_gather(sizes, mine)
        counts = [int(size) for size in sizes]
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(world.size)]
        dist.all_gather(parts, padded)
    return [part[:count] for part, count in zip(parts, counts, strict=True)]


@contextmanager
def _peers() -> Iterator[None]:
    """Around every collective: a lost connection is a lost process.

    Raises:
        PeerLostError: another process ended or does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        if not _LOST.search(str(error)):
            raise
        raise PeerLostError(
            "another process of this training ended, and this one with it",
            where=f"rank {os.environ.get('RANK', '?')}",
            do="see what the process that ended first said; then continue with --resume",
        ) from error


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun, or our own launcher, started this process as one of several."""
    return "WORLD_SIZE" in environment and "RANK" in environment


Kind = Literal["cpu", "cuda"]


@contextmanager
def start(kind: Kind | None = None) -> Iterator[World]:
    """Join the other processes of this training for as long as the block runs.

    Reads what torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR,
    MASTER_PORT. Without them there is one process, and no process group.

    Args:
        kind: where to compute. None is the CPU for a process of its own; among several, the GPU
            of its number if this machine has one for each of its processes, else the CPU.

    Raises:
        UsageError: this machine has fewer GPUs than processes.
        PeerLostError: another process ended.
    """
    world = _from_environment(kind)
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    if is_launched():
        _die_with_the_launcher()
    if world.size == 1:
        yield world
        return
    backend = "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo"
    with _peers():
        dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield world
    except PeerLostError:
        time.sleep(_LINGER)
        raise
    finally:
        dist.destroy_process_group()


def _from_environment(kind: Kind | None) -> World:
    if not is_launched():
        if kind == "cuda":
            require_gpus(1)
        return World(device=torch.device("cuda", 0) if kind == "cuda" else CPU)
    rank, size, local_rank, local_size = (
        int(os.environ.get(name, default))
        for name, default in (
            ("RANK", "0"),
            ("WORLD_SIZE", "1"),
            ("LOCAL_RANK", "0"),
            ("LOCAL_WORLD_SIZE", "1"),
        )
    )
    if kind is None:
        kind = "cuda" if torch.cuda.device_count() >= local_size else "cpu"
    if kind == "cuda":
        require_gpus(local_size)
    device = torch.device("cuda", local_rank) if kind == "cuda" else CPU
    return World(rank, size, local_rank, local_size, device)


def require_gpus(count: int) -> None:
    """Refuse more GPUs than there are.

    Raises:
        UsageError: fewer than `count` are visible.
    """
    visible = torch.cuda.device_count()
    if count > visible:
        raise UsageError(
            f"{count} GPUs are asked for, {visible} "
            f"{'is' if visible == 1 else 'are'} visible to this program",
            where="--gpus",
            do=f"give --gpus {visible} or fewer, or look at CUDA_VISIBLE_DEVICES"
            if visible
            else "train on the CPU with --processes N, or look at CUDA_VISIBLE_DEVICES",
        )


def _die_with_the_launcher() -> None:
    """A launcher that was killed leaves no process behind that goes on writing to the run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
