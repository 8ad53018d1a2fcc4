"""Stage 3's loop: epochs of queries against all codes, checkpointed so that it resumes exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from naics_graph import memory
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.curriculum import Curriculum
from naics_graph.contrast.data import Batch, ContrastData
from naics_graph.contrast.keeping import Averaged, Best
from naics_graph.contrast.objective import Objective, images_of_all
from naics_graph.contrast.optimisation import (
    Means,
    clip_gradient,
    epoch_seed,
    one_cycle,
    optimiser_tensors,
    require_finite,
    require_radius,
    restore_optimiser,
    set_rate,
    weighted,
)
from naics_graph.contrast.router_log import RouterLog, warn_of_collapse
from naics_graph.contrast.space import CodeSpace
from naics_graph.distributed import World
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.runs import Checkpoint, Run, tensors_below
from naics_graph.store.contract import Progress, show_detail

STAGE, FINETUNE, SETTLE = "contrast", "finetune", "settle"
_SHOWN = {STAGE: "contrastive learning", FINETUNE: "fine-tuning", SETTLE: "settling"}

Validate = Callable[[CodeSpace], Mapping[str, float]]
"""Measures a space after an epoch, for the log."""


def build_space(config: ContrastConfig, data: ContrastData, seed: int) -> CodeSpace:
    """A fresh space whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CodeSpace(
            config.map,
            config.lexical,
            hidden_size=data.hidden_size,
            trained=data.trained,
            curvature=config.curvature,
            temperature=config.temperature,
            scale=1.0 / config.objective.radius_step,
        )


class ContrastTrainer:
    """Trains a `CodeSpace`, alone or as one of several processes with the same arguments.

    Dropout of hidden units is drawn in every process by itself: with it several processes do not
    compute what one does (docs/training.md has what else can part them over many steps).

    Args:
        config: hyper-parameters.
        data: what to train on.
        run: where checkpoints and metrics go; read and written by the first process alone, the
            others may give None.
        seed: of initial weights, order of the queries, dropout and sampled codes.
        validate: measured in the first process after the last epoch and every `validate_every`
            ones, or after each where they are judged.
        world: the processes that share the steps.
        start: the space to go on from, default a fresh one.
        stage: name in metrics and checkpoints: `contrast`, `finetune` or `settle`.
    """

    def __init__(
        self,
        config: ContrastConfig,
        data: ContrastData,
        run: Run | None,
        seed: int,
        validate: Validate | None = None,
        world: World | None = None,
        start: CodeSpace | None = None,
        stage: str = STAGE,
    ) -> None:
        data = data.weighted(config.sources)
        self.config, self.data, self.seed = config, data, seed
        self.validate, self.stage = validate, stage
        self.world = world or World()
        self.run = run if self.world.is_main else None
        self.space = (start or build_space(config, data, seed)).to(self.world.device)
        self.averaged = Averaged(self.space, config.averaging) if config.averaging else None
        self.best = Best(config.keep, config.early_stopping)
        self.router = RouterLog(torch.from_numpy(data.tree.ancestors[:, 0]))
        self.objective = Objective(config.objective, data, self.router, self.world)
        # Fused: one pass over the table of the lexical encoder, a sixth of a step on a CPU.
        self.optimiser = torch.optim.AdamW(_groups(self.space, config), fused=True)
        self.steps = data.steps_per_epoch(config.batch_size)
        total = self.steps * config.epochs
        self.curriculum = (
            Curriculum(config.curriculum, total) if config.curriculum.enabled else None
        )
        self.measured: dict[str, float] = {}
        self.collapsed = False

    def train(self, progress: Progress | None = None) -> CodeSpace:
        """Train to the last epoch, from the run's latest checkpoint if it has one.

        Raises:
            DivergedError: a loss part or the gradient is not finite, or the mean radius too large.
            ConfigError: the best epoch is asked for and there is nothing to judge by.
        """
        first = self._restore()
        device = self.world.device
        # Dropout draws from the global generator: seed it by epoch here, and leave the caller's be.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            for epoch in range(first, self.config.epochs):
                if self.best.is_over:
                    break
                self._epoch(epoch, progress)
        space = self._result
        if self.best.weights:
            space.load_state_dict(self.best.weights)
            self.measured = dict(self.best.measured)
        return space.eval()

    @property
    def what(self) -> str:
        """What the progress display says is done."""
        return _SHOWN[self.stage]

    @property
    def _result(self) -> CodeSpace:
        """What is measured and published: the averaged weights where there are any."""
        return self.space if self.averaged is None else self.averaged.module

    def _epoch(self, epoch: int, progress: Progress | None) -> None:
        seed = epoch_seed(self.seed, epoch)
        torch.manual_seed(seed + self.world.rank)
        generator = torch.Generator().manual_seed(seed)
        self.space.train()
        means = Means()
        batches = self.data.epoch(
            self.config.batch_size, self.seed, epoch, self.config.lexical.dropout
        )
        read = self.data.reread(self.space.reader)
        for i, batch in enumerate(batches):
            if i % self.config.refresh_every == 0:
                channels = read.channels(self.space.reader)
            step = epoch * self.steps + i
            self._choose_negatives(step, epoch, channels, new_epoch=i == 0)
            losses = self._step(step, channels, batch, generator)
            means.add(losses)
            if self.curriculum is not None:
                self.curriculum.after(losses.get("query_code", losses["loss"]))
            if progress is not None:
                progress(self.what, step + 1, self.steps * self.config.epochs)
                show_detail(progress, self.what, means.values)
        radius = images_of_all(self.space, channels).norm(dim=1).mean()
        parts = {name: torch.tensor(v) for name, v in means.values.items() if name != "loss"}
        self._require_radius((epoch + 1) * self.steps, radius, parts)
        values = means.values | {
            "temperature": float(self.space.temperature.detach()),
            "scale": float(self.space.scale.detach()),
            "mean_radius": float(radius),
            "resident_mib": memory.resident_mib(),
        }
        values |= self._routing(epoch + 1)
        values |= self._measure(epoch + 1)
        if self.curriculum is not None:
            values["phase"] = self.curriculum.phase
        if self.run is not None:
            self.run.log(self.stage, epoch + 1, (epoch + 1) * self.steps, values)
            self._save(self.run, epoch + 1)

    def _step(
        self, step: int, channels: ChannelFeatures, batch: Batch, generator: torch.Generator
    ) -> dict[str, float]:
        """One step of the optimiser; the loss and its parts, over all processes."""
        config = self.config
        set_rate(self.optimiser, one_cycle(step / (self.steps * config.epochs), config.warmup))
        share = self.objective(self.space, channels, batch, generator)
        parts = dict(zip(share, self.world.sum(torch.stack(list(share.values()))), strict=True))
        require_finite(self.stage, step, parts)
        self._require_radius(step, self.objective.mean_radius, parts)
        self.optimiser.zero_grad(set_to_none=True)
        self.objective.total(share).backward()  # type: ignore[no-untyped-call]
        self.world.reduce_gradients(self.space.parameters())
        clip_gradient(self.stage, step, self.space, config.gradient_norm)
        self.optimiser.step()
        self.space.bound_temperature()
        if self.averaged is not None:
            self.averaged.update(self.space)
        self._log_memory(step)
        return {
            name: float(v) for name, v in {"loss": self.objective.total(parts), **parts}.items()
        }

    def _require_radius(self, step: int, radius: Tensor, parts: Mapping[str, Tensor]) -> None:
        """Stop where the mean radius of the codes () is beyond what the configuration allows."""
        config = self.config
        limit = config.radius_limit * config.map.max_radius
        weights = config.objective.weights
        require_radius(self.stage, step, float(radius), limit, weighted(parts, weights))

    def _log_memory(self, step: int) -> None:
        """On GPUs: memory, and how many of a query's candidates came from other processes."""
        used = memory.gpu_step(self.world, len(self.data.tree.codes))
        if self.run is not None and used:
            self.run.log_step(self.stage, step // self.steps + 1, step + 1, used)

    def _choose_negatives(
        self, step: int, epoch: int, channels: ChannelFeatures, *, new_epoch: bool
    ) -> None:
        """Follow the curriculum, and cluster the codes anew for the epoch or the phase."""
        switch = None if self.curriculum is None else self.curriculum.before(step)
        if self.run is not None and switch:
            self.run.log_event(self.stage, epoch + 1, step, switch)
        if not (new_epoch or switch):
            return
        if self.curriculum is not None:
            self.objective.negatives.config = self.curriculum.negatives
        self.objective.recluster(self.space, channels, epoch_seed(self.seed, epoch))

    def _routing(self, epoch: int) -> dict[str, float]:
        """What the router did with the epoch's queries; a collapse is warned of once."""
        metrics = self.router.epoch(self.config.map.mixture.top_k)
        weight = self.config.objective.weights.load_balance
        self.collapsed = self.collapsed or warn_of_collapse(metrics, epoch, weight)
        return metrics

    def _measure(self, epoch: int) -> dict[str, float]:
        judges = self.config.judges_epochs
        every = 1 if judges else self.config.validate_every
        if epoch != self.config.epochs and not (every and epoch % every == 0):
            return {}
        self.measured = self.world.on_main(self._validated)
        if judges:
            self.best.see(epoch, self.measured, self._result)
        return self.measured

    @torch.no_grad()
    def _validated(self) -> dict[str, float]:
        space = self._result.eval()
        return {} if self.validate is None else dict(self.validate(space))

    def _save(self, run: Run, epoch: int) -> None:
        tensors = {f"space.{name}": value for name, value in self.space.state_dict().items()}
        tensors |= {f"adam.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights.items()}
        state: dict[str, Any] = {
            "epoch": epoch,
            "measured": self.measured,
            "best": self.best.state(),
            "curriculum": None if self.curriculum is None else self.curriculum.state(),
            "config": dataclasses.asdict(self.config),
        }
        if self.averaged is not None:
            average = self.averaged.module.state_dict()
            tensors |= {f"average.{name}": value for name, value in average.items()}
            state["averaged_steps"] = self.averaged.steps
        run.save_checkpoint(self.stage, epoch, tensors, state)

    def _restore(self) -> int:
        found = self.run.latest_checkpoint(self.stage) if self.run is not None else None
        checkpoint: Checkpoint | None = self.world.broadcast(found)
        if checkpoint is None:
            return 0
        tensors, state = checkpoint.tensors, checkpoint.state
        self.space.load_state_dict(tensors_below("space.", tensors))
        restore_optimiser(self.optimiser, tensors_below("adam.", tensors))
        self.best.restore(state["best"], tensors_below("best.", tensors))
        if self.averaged is not None:
            self.averaged.module.load_state_dict(tensors_below("average.", tensors))
            self.averaged.steps = int(state["averaged_steps"])
        self.measured = dict(state["measured"])
        if self.curriculum is not None:
            self.curriculum.restore(state["curriculum"])
        return checkpoint.epoch


def _groups(space: CodeSpace, config: ContrastConfig) -> list[dict[str, Any]]:
    """What learns, by rate and decay."""
    own = {"residual", "log_temperature", "log_scale", "reader.lexical.table"}
    named = {
        name: p
        for name, p in space.named_parameters()
        if name not in own and not name.startswith("reader.backbone.")
    }
    head = named | {"log_temperature": space.log_temperature, "log_scale": space.log_scale}
    groups = [
        *_by_decay(head, config.learning_rate, config.weight_decay),
        {"params": [space.residual], "lr": config.residual_rate, "weight_decay": 0.0},
    ]
    if space.reader.lexical is not None:
        table = list(space.reader.lexical.parameters())
        groups.append({"params": table, "lr": config.lexical.learning_rate, "weight_decay": 0.0})
    if space.reader.backbone is not None:
        learned = space.reader.backbone.learned()
        groups += _by_decay(learned, config.finetune.learning_rate, config.weight_decay)
    return groups


def _by_decay(
    learned: Mapping[str, nn.Parameter], rate: float, decay: float
) -> list[dict[str, Any]]:
    """Matrices decay; biases, weights of norms and scalars do not.

    The biases of all experts are one tensor, and so are those of all channels.
    """
    matrices = {
        name: p
        for name, p in learned.items()
        if p.ndim > 1 and not name.endswith(("bias", ".channel"))
    }
    others = [p for name, p in learned.items() if name not in matrices]
    return [
        {"params": [*matrices.values()], "lr": rate, "weight_decay": decay},
        {"params": others, "lr": rate, "weight_decay": 0.0},
    ]
