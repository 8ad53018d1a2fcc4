"""Memory: what is held, and a shortage that says what to do."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from naics_graph import memory
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.trainer import ContrastTrainer
from naics_graph.distributed import World
from naics_graph.errors import OutOfMemoryError
from naics_graph.runs import Run
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy
from tests.processes import run_processes


def test_the_resident_set_grows_with_what_is_held() -> None:
    """In a process of its own: here the garbage of other tests comes and goes."""
    program = (
        "import numpy as np; from naics_graph import memory; before = memory.resident_mib(); "
        "held = np.ones(32_000_000); print(before, memory.resident_mib(), held.nbytes)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    before, after, held = map(float, done.stdout.split())
    assert before > 10
    assert after - before == pytest.approx(held / memory.MIB, rel=0.2)


def test_the_cpu_has_no_memory_of_a_gpu() -> None:
    assert memory.gpu_mib(torch.device("cpu")) == {}


class Gpu:
    """What `torch.cuda` says of memory, in bytes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.allocated = self.peak = 0
        patch.setattr(torch.cuda, "memory_allocated", lambda _: self.allocated)
        patch.setattr(torch.cuda, "memory_reserved", lambda _: 100 * memory.MIB)
        patch.setattr(torch.cuda, "max_memory_allocated", lambda _: self.peak)
        patch.setattr(torch.cuda, "reset_peak_memory_stats", self.reset)

    def hold(self, mib: int) -> None:
        self.allocated = mib * memory.MIB
        self.peak = max(self.peak, self.allocated)

    def reset(self, device: torch.device) -> None:
        assert device.type == "cuda"
        self.peak = self.allocated


Steps = list[dict[str, float]]


def two_steps(world: World) -> Steps:
    """Of GPUs of which each process's holds more than the one's before it."""
    world = dataclasses.replace(world, device=torch.device("cuda", world.rank))
    with pytest.MonkeyPatch.context() as patch:
        gpu = Gpu(patch)
        steps = []
        for most in (30, 10):
            gpu.hold(most + world.rank)
            gpu.hold(5 + world.rank)
            steps.append(memory.gpu_step(world, 2125))
    return steps


@pytest.mark.parametrize(("size", "gathered"), [(1, 0), (2, 1063)])
def test_a_step_has_its_own_peak_and_the_greatest_of_all_gpus(size: int, gathered: int) -> None:
    rank = size - 1
    expected = [
        {
            "allocated_mib": 5 + rank,
            "reserved_mib": 100,
            "peak_mib": most + rank,
            "gathered_negatives": gathered,
        }
        for most in (30, 10)
    ]
    assert run_processes(two_steps, size) == [expected] * size


@pytest.mark.parametrize("is_main", [True, False])
def test_every_process_asks_after_every_step_and_the_first_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_main: bool
) -> None:
    asked = itertools.count(1.0)
    monkeypatch.setattr(memory, "gpu_step", lambda _world, codes: {"n": codes + next(asked)})
    data = ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)
    config = dataclasses.replace(CONFIG, epochs=2)
    run = Run.create(tmp_path / "run", "")
    ContrastTrainer(config, data, run if is_main else None, 0).train()
    run.close()
    steps = data.steps_per_epoch(config.batch_size)
    assert next(asked) == 2 * steps + 1
    codes = len(data.tree.codes)
    expected = [
        {"stage": "contrast", "epoch": 1 + i // steps, "step": i + 1, "n": codes + i + 1.0}
        for i in range(2 * steps)
    ]
    lines = run.steps_file.read_text().splitlines() if is_main else []
    assert [json.loads(line) for line in lines] == (expected if is_main else [])
    assert run.steps_file.exists() == is_main


def test_a_failed_allocation_names_the_settings_that_lower_it() -> None:
    with (
        pytest.raises(OutOfMemoryError, match=r"contrast\.batch_size") as caught,
        memory.explained_shortage("train"),
    ):
        torch.empty(1 << 60)
    assert caught.value.exit_code == 3
    for name in ("batch_size", "tokens", "recompute=true"):
        assert f"contrast.finetune.{name}" in str(caught.value)
    for setting in ("contrast.objective.sampled_codes", "backbone.batch_size", "--resume"):
        assert setting in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_python_and_gpus_run_out_the_same_way(error: Exception) -> None:
    with pytest.raises(OutOfMemoryError), memory.explained_shortage("train"):
        raise error


@pytest.mark.parametrize("said", ["shapes differ", "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"])
def test_other_errors_pass(said: str) -> None:
    with pytest.raises(RuntimeError, match=said), memory.explained_shortage("train"):
        raise RuntimeError(said)
