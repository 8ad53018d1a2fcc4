"""Memory: what is held, and a shortage that says what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from naics_graph import memory
from naics_graph.errors import OutOfMemoryError


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


def test_a_failed_allocation_names_the_settings_that_lower_it() -> None:
    with (
        pytest.raises(OutOfMemoryError, match=r"contrast\.batch_size") as caught,
        memory.explained_shortage("train"),
    ):
        torch.empty(1 << 60)
    assert caught.value.exit_code == 3
    for setting in ("contrast.objective.sampled_codes", "backbone.batch_size", "--resume"):
        assert setting in str(caught.value)


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
)
def test_python_and_gpus_run_out_the_same_way(error: Exception) -> None:
    with pytest.raises(OutOfMemoryError), memory.explained_shortage("train"):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory.explained_shortage("train"):
        raise RuntimeError("shapes differ")
