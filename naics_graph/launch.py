"""Start one command of ours in several processes of this machine, by torch elastic.

What `torchrun --standalone --nproc-per-node N -m naics_graph.cli …` does, with our exit codes: the
first process talks to the user, the others to files, and the message of the one that failed is
shown.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from naics_graph.errors import PeerLostError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LOOPBACK: Final = "127.0.0.1"


def launch(arguments: Sequence[str], processes: int, module: str = "naics_graph.cli") -> int:
    """Run `python -m MODULE ARGUMENTS` in N processes, which find each other by loopback.

    Returns:
        0, or the exit code of the process that failed, whose message is on stderr then.

    Raises:
        PeerLostError: a process was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Elastic reports the failure of a process in its own words, beside ours.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    _set_environment(processes)
    with tempfile.TemporaryDirectory(prefix="naics-graph-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint=f"{LOOPBACK}:0",
            local_addr=LOOPBACK,
            max_restarts=0,
            monitor_interval=0.1,
            logs_specs=DefaultLogsSpecs(
                log_dir=folder, redirects=dict.fromkeys(range(1, processes), Std.ALL)
            ),
        )
        try:
            elastic_launch(config, sys.executable)("-m", module, *arguments)
        except ChildFailedError as error:
            return _report(error.failures, Path(folder))
        except SignalException as error:
            return 128 + int(error.sigval)
    return 0


def _set_environment(processes: int) -> None:
    from naics_graph.distributed import cores

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    if sys.platform == "linux":
        # Else gloo looks up this machine's name, which may be nobody's.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")


def _report(failures: Mapping[int, ProcessFailure], folder: Path) -> int:
    """Show what the process that failed said; its exit code."""
    # The launcher ends the others by SIGTERM. Where several failed for one reason, the first has
    # said it already.
    rank = min(failures, key=lambda one: (failures[one].exitcode == -signal.SIGTERM, one))
    code = failures[rank].exitcode
    if rank:
        for said in sorted(folder.rglob(f"{rank}/stderr.log")):
            sys.stderr.write(said.read_text(encoding="utf-8", errors="replace"))
    if code >= 0:
        return code
    raise PeerLostError(
        f"process {rank} was ended by {signal.Signals(-code).name}",
        where=f"rank {rank} of the training",
        do="see whether the machine ran out of memory; continue with --resume where there is "
        "more, or start a run with a lower contrast.batch_size (where the backbone "
        "learns contrast.finetune.batch_size) or backbone.batch_size",
    )
