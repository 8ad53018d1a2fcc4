"""Stage 3's loop: epochs of queries against all codes, checkpointed so that it resumes exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from naics_graph.contrast.curriculum import Curriculum, CurriculumConfig
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.objective import Objective, ObjectiveConfig
from naics_graph.contrast.optimisation import (
    one_cycle,
    optimiser_tensors,
    require_finite,
    restore_optimiser,
    set_rate,
)
from naics_graph.contrast.router_log import RouterLog, warn_of_collapse
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.lexical import LexicalConfig
from naics_graph.encode.text_map import TextMapConfig
from naics_graph.runs import Run, tensors_below
from naics_graph.store.contract import Progress

STAGE = "contrast"

Validate = Callable[[CodeSpace], Mapping[str, float]]
"""Measures a space after an epoch, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastConfig:
    """Optimisation of stage 3.

    curvature: c > 0, the space has curvature -c. learning_rate: peak of one cycle, AdamW.
    residual_rate: the same for code residuals. warmup: share of the steps. temperature: at the
    start, in units of distance; learned. refresh_every: steps for which the codes' channels keep
    the lexical vectors they were read with; queries are always read anew. validate_every: epochs
    between measurements, 0 for the last only.
    """

    lexical: LexicalConfig = field(default_factory=LexicalConfig)
    map: TextMapConfig = field(default_factory=TextMapConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    curvature: float = 1.0
    epochs: int = 12
    batch_size: int = 1024
    learning_rate: float = 5e-3
    residual_rate: float = 2e-2
    weight_decay: float = 0.01
    warmup: float = 0.1
    temperature: float = 0.3
    gradient_norm: float = 5.0
    refresh_every: int = 8
    validate_every: int = 4

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        for name in ("curvature", "learning_rate", "residual_rate", "temperature", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be above 0")
        for name in ("epochs", "batch_size", "refresh_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")


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
    """Trains a `CodeSpace`.

    Args:
        config: hyper-parameters.
        data: what to train on.
        run: where checkpoints and metrics go.
        seed: of initial weights, order of the queries, dropout and sampled codes.
        validate: measured every `validate_every` epochs and after the last.
    """

    def __init__(
        self,
        config: ContrastConfig,
        data: ContrastData,
        run: Run,
        seed: int,
        validate: Validate | None = None,
    ) -> None:
        self.config, self.data, self.run, self.seed = config, data, run, seed
        self.validate = validate
        self.space = build_space(config, data, seed)
        self.router = RouterLog(torch.from_numpy(data.tree.ancestors[:, 0]))
        self.objective = Objective(config.objective, data, self.router)
        self.optimiser = torch.optim.AdamW(_groups(self.space, config))
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
            DivergedError: a loss part or the gradient is not finite.
        """
        first = self._restore()
        # Dropout draws from the global generator: seed it by epoch here, and leave the caller's be.
        with torch.random.fork_rng(devices=[]):
            for epoch in range(first, self.config.epochs):
                self._epoch(epoch, progress)
        self.space.eval()
        return self.space

    def _epoch(self, epoch: int, progress: Progress | None) -> None:
        torch.manual_seed(self.seed * 100_003 + epoch)
        generator = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        self.space.train()
        sums: dict[str, float] = {}
        batches = self.data.epoch(
            self.config.batch_size, self.seed, epoch, self.config.lexical.dropout
        )
        for i, batch in enumerate(batches):
            if i % self.config.refresh_every == 0:
                channels = self.data.channels(self.space.reader)
            step = epoch * self.steps + i
            total = self.steps * self.config.epochs
            self._choose_negatives(step, epoch, channels, new_epoch=i == 0)
            set_rate(self.optimiser, one_cycle(step / total, self.config.warmup))
            parts = self.objective(self.space, channels, batch, generator)
            loss = self.objective.total(parts)
            require_finite(STAGE, step, parts)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(
                self.space.parameters(), self.config.gradient_norm
            )
            require_finite(STAGE, step, {"gradient": norm})
            self.optimiser.step()
            for name, part in {"loss": loss, **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(part.detach())
            if progress is not None:
                progress("contrastive learning", step + 1, total)
        values = {name: value / self.steps for name, value in sums.items()}
        values |= {
            "temperature": float(self.space.temperature.detach()),
            "scale": float(self.space.scale.detach()),
        }
        values |= self._routing(epoch + 1)
        values |= self._measure(epoch + 1)
        if self.curriculum is not None:
            values["phase"] = self.curriculum.phase
            fit = values.get("query_code", values["loss"])
            self.curriculum.after_epoch((epoch + 1) * self.steps, epoch * self.steps, fit)
        self.run.log(STAGE, epoch + 1, (epoch + 1) * self.steps, values)
        self._save(epoch + 1)

    def _choose_negatives(
        self, step: int, epoch: int, channels: ChannelFeatures, *, new_epoch: bool
    ) -> None:
        """Follow the curriculum, and cluster the codes anew for the epoch or the phase."""
        entered = self.curriculum is not None and self.curriculum.before(step)
        if not (new_epoch or entered):
            return
        if self.curriculum is not None:
            self.objective.negatives.config = self.curriculum.negatives
        self.objective.recluster(self.space, channels, self.seed * 100_003 + epoch)

    def _routing(self, epoch: int) -> dict[str, float]:
        """What the router did with the epoch's queries; a collapse is warned of once."""
        metrics = self.router.epoch(self.config.map.mixture.top_k)
        weight = self.config.objective.weights.load_balance
        self.collapsed = self.collapsed or warn_of_collapse(metrics, epoch, weight)
        return metrics

    def _measure(self, epoch: int) -> dict[str, float]:
        every = self.config.validate_every
        due = epoch == self.config.epochs or (every and epoch % every == 0)
        if self.validate is None or not due:
            return {}
        self.space.eval()
        with torch.no_grad():
            self.measured = dict(self.validate(self.space))
        return self.measured

    def _save(self, epoch: int) -> None:
        tensors = {f"space.{name}": value for name, value in self.space.state_dict().items()}
        tensors |= {f"adam.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        state: dict[str, Any] = {
            "epoch": epoch,
            "measured": self.measured,
            "curriculum": None if self.curriculum is None else self.curriculum.state(),
            "config": dataclasses.asdict(self.config),
        }
        self.run.save_checkpoint(STAGE, epoch, tensors, state)

    def _restore(self) -> int:
        checkpoint = self.run.latest_checkpoint(STAGE)
        if checkpoint is None:
            return 0
        self.space.load_state_dict(tensors_below("space.", checkpoint.tensors))
        restore_optimiser(self.optimiser, tensors_below("adam.", checkpoint.tensors))
        self.measured = dict(checkpoint.state["measured"])
        if self.curriculum is not None:
            self.curriculum.restore(checkpoint.state["curriculum"])
        return checkpoint.epoch


def _groups(space: CodeSpace, config: ContrastConfig) -> list[dict[str, Any]]:
    own = {"residual", "log_temperature", "log_scale", "reader.lexical.table"}
    named = {name: p for name, p in space.named_parameters() if name not in own}
    decayed = [p for p in named.values() if p.ndim > 1]
    plain = [p for p in named.values() if p.ndim <= 1]
    rate = config.learning_rate
    groups = [
        {"params": decayed, "lr": rate, "weight_decay": config.weight_decay},
        {"params": [*plain, space.log_temperature, space.log_scale], "lr": rate, "weight_decay": 0},
        {"params": [space.residual], "lr": config.residual_rate, "weight_decay": 0.0},
    ]
    if space.reader.lexical is not None:
        table = list(space.reader.lexical.parameters())
        groups.append({"params": table, "lr": config.lexical.learning_rate, "weight_decay": 0.0})
    return groups
