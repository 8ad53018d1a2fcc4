"""Run a function in several processes that form one world, on the loopback address."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from naics_graph import distributed
from naics_graph.distributed import World

T = TypeVar("T")
PATIENCE = 300.0
"""Seconds to wait for a process's result."""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def run_processes(work: Callable[..., T], size: int, *arguments: Any) -> list[T]:
    """What `work(world, *arguments)` returns in each of `size` processes, by rank.

    The processes are forked from a server that has torch loaded and no threads.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["naics_graph.refine.trainer", __name__])
    port = free_port()
    pipes = [context.Pipe(duplex=False) for _ in range(size)]
    children = [
        context.Process(target=_child, args=(pipe, work, rank, size, port, arguments))
        for rank, (_, pipe) in enumerate(pipes)
    ]
    for child, (_, pipe) in zip(children, pipes, strict=True):
        child.start()
        pipe.close()
    try:
        results = [_received(pipe) for pipe, _ in pipes]
    finally:
        for child in children:
            child.join(5)
            child.kill()
    assert [child.exitcode for child in children] == [0] * size
    return results


def _received(pipe: Connection) -> Any:
    assert pipe.poll(PATIENCE), "a process does not answer"
    return pipe.recv()


def _child(
    pipe: Connection,
    work: Callable[..., Any],
    rank: int,
    size: int,
    port: int,
    arguments: tuple[Any, ...],
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    world: World
    with distributed.start("cpu") as world:
        pipe.send(work(world, *arguments))
