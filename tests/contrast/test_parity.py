"""N processes with a share of the batch each give the loss and gradient of one with all of it."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from naics_graph.contrast.config import LossWeights, ObjectiveConfig
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.negatives import NegativesConfig
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.trainer import build_space
from naics_graph.distributed import World
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy
from tests.processes import run_processes

SIZES = (1, 2, 4)
PARITY = dataclasses.replace(CONFIG, map=dataclasses.replace(CONFIG.map, channel_dropout=0.4))
WEIGHTS = LossWeights(
    residual=0.1, ancestors=0.3, code_code=0.3, lambda_rank=0.2, load_balance=0.5, router_z=0.1
)
NEGATIVES = NegativesConfig(
    strategies=("in_batch", "hard", "router", "tree"), count=2, eliminate=True, clusters=4
)


def small_data() -> ContrastData:
    return ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)


Step = tuple[dict[str, float], NDArray[np.float64], float]


def step(world: World, rows: list[int], config: ObjectiveConfig) -> Step:
    """Parts, gradient and mean radius of one step in training mode."""
    data = small_data()
    space = build_space(PARITY, data, 0).train()
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    objective = Objective(config, data, world=world)
    channels = data.channels(space.reader)
    objective.recluster(space, channels, 3)
    batch = data.batch(torch.tensor(rows))
    parts = objective(space, channels, batch, torch.Generator().manual_seed(1))
    objective.total(parts).backward()  # type: ignore[no-untyped-call]
    world.reduce_gradients(space.parameters())
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in space.parameters()]
    return (
        {name: float(world.sum(part)) for name, part in parts.items()},
        torch.cat([g.flatten().double() for g in gradients]).numpy(),
        float(objective.mean_radius),
    )


@pytest.mark.parametrize(
    ("loss", "negatives"), [("softmax", NegativesConfig()), ("dcl", NEGATIVES)], ids=["all", "some"]
)
@pytest.mark.parametrize(
    ("rows", "anchors"),
    [(list(range(0, 41, 2)), 12), ([5, 30, 31], 3)],
    ids=["uneven", "fewer queries and anchors than processes"],
)
def test_loss_and_gradient_are_those_of_one_process(
    rows: list[int], anchors: int, loss: Literal["softmax", "dcl"], negatives: NegativesConfig
) -> None:
    config = dataclasses.replace(
        CONFIG.objective,
        weights=WEIGHTS,
        sampled_codes=anchors,
        query_loss=loss,
        negatives=negatives,
    )
    parts, gradient, radius = step(World(), rows, config)
    assert np.linalg.norm(gradient) > 0.1
    for size in SIZES[1:]:
        for seen, its_gradient, its_radius in run_processes(step, size, rows, config):
            # Absolutely too: a part may be the small difference of scores of images in float32.
            assert seen == pytest.approx(parts, rel=1e-6, abs=1e-6)
            assert np.abs(its_gradient - gradient).max() <= 1e-6 * np.linalg.norm(gradient)
            assert its_radius == pytest.approx(radius, rel=1e-6)


@pytest.mark.parametrize("part", [f.name for f in dataclasses.fields(LossWeights)])
def test_each_part_alone_reaches_every_process(part: str) -> None:
    """No process waits for a backward pass another does not run, and each part is exact."""
    only = LossWeights(**{f.name: float(f.name == part) for f in dataclasses.fields(LossWeights)})
    config = dataclasses.replace(CONFIG.objective, weights=only)
    parts, gradient, _ = step(World(), [3, 8], config)
    for seen, its_gradient, _ in run_processes(step, 4, [3, 8], config):
        assert seen == pytest.approx(parts, rel=1e-6, abs=1e-9)
        assert np.abs(its_gradient - gradient).max() <= 1e-6 * max(
            float(np.linalg.norm(gradient)), 1e-3
        )


def test_channel_dropout_acts_in_training_and_is_drawn_from_the_steps_generator() -> None:
    data = small_data()
    space = build_space(PARITY, data, 0)
    objective = Objective(PARITY.objective, data)
    batch = data.batch(torch.arange(10))
    channels = data.channels(space.reader)

    def loss(seed: int) -> float:
        parts = objective(space, channels, batch, torch.Generator().manual_seed(seed))
        return float(parts["query_code"].detach())

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)
    space.eval()
    assert loss(1) == loss(2)
