"""`train` in several processes: the flags, that two publish what one does, and the end of one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import naics_graph
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.errors import PeerLostError
from naics_graph.pipeline import TrainConfig
from naics_graph.runs import Run as RunFolder
from naics_graph.store.open import open_store
from tests.cli.conftest import Run
from tests.processes import free_port
from tests.tiny_training import tiny_database, tiny_settings

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0
"""Seconds to wait for a node, a checkpoint, an end."""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--gpus", "2", "--processes", "2"], "--processes came with --gpus"),
        (["--processes", "0"], "--processes is 0"),
        (["--gpus", "-1"], "--gpus is -1"),
    ],
)
def test_flags_that_make_no_sense_are_refused(run: Run, flags: list[str], said: str) -> None:
    outcome = run("train", *flags)
    assert outcome.code == 2
    assert said in outcome.err


def test_more_gpus_than_visible_are_refused_with_their_number(run: Run) -> None:
    visible = torch.cuda.device_count()
    outcome = run("train", "--gpus", str(visible + 1))
    assert outcome.code == 2
    assert f"{visible + 1} GPUs are asked for, {visible} " in outcome.err


def on_one_machine(command: list[str], environment: dict[str, str]) -> str:
    """Stdout of a command that starts its two processes itself."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_two_nodes(command: list[str], environment: dict[str, str]) -> str:
    """Stdout of a command as torchrun starts it on two machines: here both are this one."""
    try:
        endpoint = f"127.0.0.1:{free_port()}"
    except OSError as error:
        pytest.skip(f"NOT TESTED: two nodes, for no port of 127.0.0.1 is free: {error}")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    torchrun += ["--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint]
    # Without the -- torchrun takes our --run for a flag of its own.
    torchrun += ["--rdzv-id", "two", "--local-addr", "127.0.0.1", "-m", "--", *command]
    environment = environment | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    nodes = [
        subprocess.Popen(
            torchrun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    try:
        said = [node.communicate(timeout=PATIENCE) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0, 0], said
    # Which node has the first process is decided when they meet.
    (out,) = (out for out, _ in said if out)
    return out


def train_in_two(database: str) -> list[str]:
    """The command, to which `--run` or `--resume` belongs."""
    return ["naics_graph.cli", "train", "--database", database, "--json", "--processes", "2"]


def flags(settings: list[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def environment() -> dict[str, str]:
    """Our variables, and this checkout, for a command."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.slow
@pytest.mark.parametrize("in_two", [on_one_machine, on_two_nodes])
def test_two_processes_publish_what_one_does(
    home: Path, in_two: Callable[[list[str], dict[str, str]], str]
) -> None:
    """Points to 1e-6. Every expert is chosen, for a choice is not continuous.

    Nor is a rank: two pairs of codes that swap places move Spearman by 1e-6, so figures have 1e-5.
    """
    database = tiny_database(home)
    settings = [
        *tiny_settings(home),
        "contrast.batch_size=100",
        # Adam turns rounding into steps of the learning rate wherever a gradient is nearly zero.
        "contrast.learning_rate=5e-5",
        "contrast.residual_rate=5e-5",
        "contrast.lexical.learning_rate=5e-5",
        "contrast.map.mixture.experts=2",
        "contrast.map.channel_dropout=0.3",
        "refine.epochs=2",
        "refine.batch_size=90",
        "refine.learning_rate=5e-5",
        "refine.gate_rate=2e-3",
        "refine.validate_every=1",
    ]
    with naics_graph.connect(database) as handle:
        one = handle.train(load_config(TrainConfig, None, settings), run="one")
    command = [*train_in_two(database), "--run", "two", *flags(settings)]
    two = json.loads(in_two(command, environment()))
    assert two["embedding_set"] == "two"
    for stage, other in zip(one.stages, two["stages"], strict=True):
        assert other["metrics"] == pytest.approx(dict(stage.metrics), abs=1e-5), stage.stage
    with open_store(database, read_only=True) as store:
        codes, points = store.read_set("one")
        same, others = store.read_set("two")
    assert codes == same
    assert (np.abs(points - others).max(axis=1) <= 1e-6 * points[:, 0]).all()
    logs = [records(home / "data" / "runs" / name) for name in ("one", "two")]
    assert [record["stage"] for record in logs[1]] == ["contrast"] * 2 + ["refine"] * 2
    assert logs[1][0]["resident_mib"] > 10
    for record, other in zip(*(log[2:] for log in logs), strict=True):
        assert {"mrr", "edge_map", "mean_radius"} <= set(other)
        assert min(record.pop("resident_mib"), other.pop("resident_mib")) > 10
        assert other == pytest.approx(record, abs=1e-5)
    refined = [
        Artifact.load(home / "data" / "runs" / name / "artifact").points("refine")
        for name in ("one", "two")
    ]
    assert np.abs(refined[0] - refined[1]).max() <= 1e-6 * refined[0].max()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: ranks are found in /proc")
def test_a_killed_rank_ends_a_training_that_resumes_bit_for_bit(home: Path) -> None:
    """SIGKILL in stage 3: the last rank once there is a checkpoint, the first in what resumes."""
    database = tiny_database(home)
    epochs = 10
    settings = [
        *tiny_settings(home),
        f"contrast.epochs={epochs}",
        "contrast.batch_size=100",
        "refine.epochs=1",
        "refine.batch_size=90",
    ]
    command = train_in_two(database)
    whole = json.loads(
        on_one_machine([*command, "--run", "whole", *flags(settings)], environment())
    )
    started = killed([*command, "--run", "killed", *flags(settings)], home, rank=1, after=0)
    again = killed([*command, "--resume", "killed"], home, rank=0, after=started)
    assert started < again < epochs, "not killed in stage 3"
    log = home / "data" / "runs" / "killed" / "metrics.jsonl"
    logged = log.read_text()
    assert [record["epoch"] for record in records(log.parent)] == [*range(1, again + 1)]
    with open_store(database, read_only=True) as store:
        assert [known.id for known in store.embedding_sets()] == ["whole"]
    resumed = json.loads(on_one_machine([*command, "--resume", "killed"], environment()))
    assert resumed["embedding_set"] == "killed"
    assert log.read_text().startswith(logged), "an epoch was trained again"
    for stage, other in zip(whole["stages"], resumed["stages"], strict=True):
        assert other["metrics"] == stage["metrics"], stage["stage"]
    with open_store(database, read_only=True) as store:
        codes, points = store.read_set("whole")
        same, others = store.read_set("killed")
    assert codes == same
    assert np.array_equal(points, others)


def killed(command: list[str], home: Path, rank: int, after: int) -> int:
    """Kill a rank of the run `killed` when stage 3 has a checkpoint later than epoch `after`.

    Returns:
        The epoch of the last checkpoint, which can be read.
    """
    folder = home / "data" / "runs" / "killed"
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as launcher:
        try:
            deadline = time.monotonic() + PATIENCE
            while last_checkpoint(folder) <= after:
                assert launcher.poll() is None, launcher.communicate()
                assert time.monotonic() < deadline, "no checkpoint"
                time.sleep(0.01)
            os.kill(ranks(launcher.pid, home)[rank], signal.SIGKILL)
            out, said = launcher.communicate(timeout=PATIENCE)
        finally:
            # The ranks die with it.
            launcher.kill()
    assert launcher.returncode == PeerLostError.exit_code, said
    assert f"process {rank} was ended by SIGKILL\n  where: rank {rank} of the training\n" in said
    assert "continue with --resume" in said
    assert "Traceback" not in said
    assert out == ""
    assert not list(processes(home))
    checkpoint = RunFolder.resume(folder).latest_checkpoint("contrast")
    assert checkpoint is not None
    return checkpoint.epoch


def last_checkpoint(folder: Path) -> int:
    epochs = (int(path.stem) for path in folder.glob("checkpoints/contrast/*.json"))
    return max(epochs, default=0)


def ranks(launcher: int, home: Path) -> dict[int, int]:
    """The processes a launcher has started: pid by rank."""
    return {
        int(variables["RANK"]): pid
        for pid, variables in processes(home)
        if "RANK" in variables and parent(pid) == launcher
    }


def processes(home: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Every process that lives in a home, and its variables."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            pairs = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            # It ended meanwhile, or is somebody else's.
            continue
        variables = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if variables.get("NAICS_GRAPH_HOME") == str(home):
            yield int(path.parent.name), variables


def parent(pid: int) -> int:
    # Its name, in parentheses, may hold spaces.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
