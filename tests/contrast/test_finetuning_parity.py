"""N processes with a share of the batch fine-tune the backbone as one with all of it does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.trainer import build_space
from naics_graph.distributed import World
from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.finetune import FineTuneConfig, TunedBackbone
from naics_graph.taxonomy.model import CHANNELS
from tests.contrast.test_parity import SIZES, WEIGHTS
from tests.contrast.test_training import CONFIG, small_taxonomy
from tests.encode.tiny import write_tiny_model
from tests.processes import run_processes

Mode = Literal["lora", "full"]

BATCHES: Final = {
    "uneven, of all channels": [7, 17, 16, 5, 20, 23, 67, 40, 42, 43, 25],
    "fewer than processes": [5, 30, 31],
}
"""Rows of a batch; no process but the only one has a text in each of its channels."""

CASES: Final[list[tuple[Mode, str]]] = [(m, b) for m in ("lora", "full") for b in BATCHES]


@dataclass(frozen=True)
class Step:
    """Parts by name, gradients by parameter (None: it has none), this process's channels."""

    parts: dict[str, float]
    gradients: dict[str, NDArray[np.float64] | None]
    channels: frozenset[int]

    def flat(self) -> NDArray[np.float64]:
        return np.concatenate([g.ravel() for g in self.gradients.values() if g is not None])

    def learned(self) -> set[str]:
        return {name for name, gradient in self.gradients.items() if gradient is not None}


def tuned(backbone: Backbone, mode: Mode) -> TunedBackbone:
    """A backbone whose adapters act: they start as nothing, and half of them without gradient."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        config = FineTuneConfig(mode=mode, lora_rank=2, tokens=64)
        learning = TunedBackbone(backbone, mode, config)
        for name, parameter in learning.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    return learning


def steps(world: World, folder: str) -> list[Step]:
    """A step of each case."""
    backbone = load_backbone(BackboneConfig(name=folder))
    data = ContrastData.of(small_taxonomy(), backbone, CONFIG.lexical).with_tokens(backbone)
    config = dataclasses.replace(CONFIG.objective, weights=WEIGHTS)
    objective = Objective(config, data, world=world)
    done = []
    for mode, rows in CASES:
        space = build_space(CONFIG, data, 0).train()
        space.reader.backbone = tuned(backbone, mode)
        batch = data.batch(torch.tensor(BATCHES[rows]))
        channels = data.channels(space.reader)
        parts = objective(space, channels, batch, torch.Generator().manual_seed(1))
        objective.total(parts).backward()  # type: ignore[no-untyped-call]
        world.reduce_gradients(space.parameters())
        done.append(
            Step(
                {name: float(world.sum(part)) for name, part in parts.items()},
                {
                    name: None if p.grad is None else p.grad.double().numpy()
                    for name, p in space.named_parameters()
                },
                frozenset(batch.channel[world.shard(len(batch.label))].tolist()),
            )
        )
    return done


@pytest.fixture(scope="module")
def by_size(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[list[Step]]]:
    """What each process of a world did, by the number of processes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    several = {size: run_processes(steps, size, str(folder)) for size in SIZES[1:]}
    return {1: [steps(World(), str(folder))], **several}


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}, {case[1]}")
def test_loss_and_gradient_are_those_of_one_process(
    by_size: dict[int, list[list[Step]]], case: tuple[Mode, str], size: int
) -> None:
    number = CASES.index(case)
    one = by_size[1][0][number]
    several = [process[number] for process in by_size[size]]
    assert all(step.channels < one.channels for step in several)
    assert [len(g) for g in (one.learned(), one.flat())] > [10, 1000]
    if case[0] == "lora":
        adapters = {c for c in CHANNELS for name in one.learned() if f"lora_A.{c}." in name}
        assert adapters == {CHANNELS[c] for c in one.channels}
    for step in several:
        assert step.parts == pytest.approx(one.parts, rel=1e-6, abs=1e-9)
        assert step.learned() == one.learned()
        assert np.abs(step.flat() - one.flat()).max() <= 1e-6 * np.linalg.norm(one.flat())
