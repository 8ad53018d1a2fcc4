"""Stage 3 whole: frozen epochs; if asked for, some in which the backbone learns; then frozen ones.

The frozen epochs cost seconds each, for every text is encoded once; they leave the space where a
few epochs of the backbone suffice. While it learns the codes' texts are read once an epoch, so at
the end all texts are read anew and everything else learns on what it then says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from naics_graph.contrast.config import ContrastConfig, for_finetuning, for_frozen, for_settling
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import FINETUNE, SETTLE, ContrastTrainer, Validate
from naics_graph.distributed import World
from naics_graph.encode.backbone import Backbone
from naics_graph.encode.finetune import TunedBackbone
from naics_graph.encode.reader import TextReader
from naics_graph.errors import ArtifactMismatchError
from naics_graph.runs import Run
from naics_graph.store.contract import Progress

Freeze = Callable[[TextReader], ContrastData]
"""Reads the training data, and what else the caller measures with, as the backbone ended."""


@dataclass(frozen=True)
class Spaces:
    """What stage 3 ended with: the space, and the last measurement of it by name.

    tuned: the backbone that learned, or None; the space has let go of it. data: the training data
    as that backbone reads it, where there is one.
    """

    space: CodeSpace
    measured: Mapping[str, float]
    data: ContrastData
    tuned: TunedBackbone | None = None


def train_space(
    config: ContrastConfig,
    data: ContrastData,
    run: Run | None,
    seed: int,
    backbone: Callable[[], Backbone],
    *,
    validate: Validate | None = None,
    freeze: Freeze | None = None,
    world: World | None = None,
    progress: Progress | None = None,
) -> Spaces:
    """Train stage 3, each part from its latest checkpoint if the run has one.

    Args:
        config: of all parts.
        data: with tokens if the backbone is to learn (`ContrastData.with_tokens`).
        run: where checkpoints and metrics go; None in every process but the first.
        seed: of every draw.
        backbone: loads the one that is to learn, if one is; before anything is trained.
        validate: as `ContrastTrainer` takes it.
        freeze: called in the first process alone, once, when the backbone has learned; default
            `data.frozen`. What `validate` measures afterwards has no backbone.
        world: the processes that share the steps.
        progress: called after every step.

    Raises:
        ArtifactMismatchError: the processes have different backbones to learn.
    """
    world = world or World()
    mode = config.finetune.resolved(world.device)
    tune, first = None, config
    if mode != "frozen":
        learner = _same_everywhere(backbone(), world)
        tune = functools.partial(TunedBackbone, learner, mode, config.finetune)
        first = for_frozen(config)
    trainer = ContrastTrainer(first, data, run, seed, validate, world)
    space = trainer.train(progress)
    if tune is None:
        return Spaces(space, trainer.measured, data)
    # An average of the weights, where that is what a part ended with, learns nothing.
    space.requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        space.reader.backbone = tune()
    tuning = for_finetuning(config)
    trainer = ContrastTrainer(tuning, data, run, seed, validate, world, space, FINETUNE)
    space = trainer.train(progress)
    tuned = space.reader.backbone
    read = world.on_main(lambda: (freeze or data.frozen)(space.reader))
    space.reader.backbone = None
    if config.finetune.settle_epochs:
        space.requires_grad_(True)
        settling = for_settling(config)
        trainer = ContrastTrainer(settling, read, run, seed, validate, world, space, SETTLE)
        space = trainer.train(progress)
    return Spaces(space, trainer.measured, read, tuned)


def _same_everywhere(backbone: Backbone, world: World) -> Backbone:
    """The backbone, if every process read the same weights from its machine.

    Raises:
        ArtifactMismatchError: one did not; raised in all processes.
    """
    first, *others = world.gather(backbone.sha256)
    for rank, sha256 in enumerate(others, start=1):
        if sha256 != first:
            raise ArtifactMismatchError(
                f"the weights of {backbone.config.name} have sha256 {first} in process 0 and "
                f"{sha256} in process {rank}",
                where="the machines of this training",
                do="copy the model's folder from one machine to the others, then start again",
            )
    return backbone
