"""Stage 3 whole: the epochs with a frozen backbone, then, if asked for, those in which it learns.

The frozen epochs cost seconds each, for every text is encoded once; they leave the space where a
few epochs of the backbone suffice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from naics_graph.contrast.config import ContrastConfig, for_finetuning
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import ContrastTrainer, Validate
from naics_graph.distributed import World
from naics_graph.encode.backbone import Backbone
from naics_graph.encode.finetune import TunedBackbone
from naics_graph.runs import Run
from naics_graph.store.contract import Progress

STAGE = "finetune"


@dataclass(frozen=True)
class Spaces:
    """What stage 3 ended with: the space, and the last measurement of it by name.

    `space.reader.backbone` is the backbone that learned, or None.
    """

    space: CodeSpace
    measured: Mapping[str, float]


def train_space(
    config: ContrastConfig,
    data: ContrastData,
    run: Run | None,
    seed: int,
    backbone: Callable[[], Backbone],
    *,
    validate: Validate | None = None,
    world: World | None = None,
    progress: Progress | None = None,
) -> Spaces:
    """Train stage 3, each part from its latest checkpoint if the run has one.

    Args:
        config: of both parts.
        data: with tokens if the backbone is to learn (`ContrastData.with_tokens`).
        run: where checkpoints and metrics go; None in every process but the first.
        seed: of every draw.
        backbone: loads the one that is to learn, if one is.
        validate: as `ContrastTrainer` takes it.
        world: the processes that share the steps.
        progress: called after every step.
    """
    world = world or World()
    trainer = ContrastTrainer(config, data, run, seed, validate, world)
    space = trainer.train(progress)
    mode = config.finetune.resolved(world.device)
    if mode != "frozen":
        # An average of the weights, where that is what the first part ended with, learns nothing.
        space.requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            space.reader.backbone = TunedBackbone(backbone(), mode, config.finetune)
        tuning = for_finetuning(config)
        trainer = ContrastTrainer(tuning, data, run, seed, validate, world, space, STAGE)
        space = trainer.train(progress)
    return Spaces(space, trainer.measured)
