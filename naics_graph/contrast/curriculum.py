"""The structure-aware curriculum: which negatives are in use, from rough structure to fine.

`tree`      negatives sampled by tree distance, siblings masked: the broad order first.
`hard`      the nearest, and those the gate confuses.
`eliminate` the same without likely false negatives.
`all`       every code, the exact loss again; off (share 0) by default.

A phase ends when its share of the steps is used up, or sooner when it stops paying: after
`patience` whole epochs in a row in which the query loss fell by less than `threshold` of itself.
Losses are compared within a phase only, for other negatives make another loss. The last phase
lasts to the end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from naics_graph.contrast.negatives import NegativesConfig, Strategy

_log = logging.getLogger(__name__)

PHASES: Final = ("tree", "hard", "eliminate", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig(NegativesConfig):
    """The negatives of a phase. share: of all steps, the most it lasts; 0 leaves it out."""

    share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        # A dataclass with slots is made anew, so super() without arguments does not know it.
        NegativesConfig.__post_init__(self)
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share is {self.share}, it must be within 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePhase(PhaseConfig):
    """Sampled by tree distance."""

    share: float = 0.2
    strategies: tuple[Strategy, ...] = ("tree",)
    count: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class HardPhase(PhaseConfig):
    """Hard by Lorentz distance and guided by the router."""

    share: float = 0.4
    strategies: tuple[Strategy, ...] = ("hard", "router")


@dataclass(frozen=True, slots=True, kw_only=True)
class EliminatePhase(PhaseConfig):
    """The same without likely false negatives."""

    share: float = 0.4
    strategies: tuple[Strategy, ...] = ("hard", "router")
    eliminate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CurriculumConfig:
    """enabled: whether phases replace `objective.negatives`. threshold, patience: when a phase has
    stopped paying (patience 0: by its share alone). The phases follow one another as listed.
    """

    enabled: bool = False
    threshold: float = 0.02
    patience: int = 1
    tree: TreePhase = field(default_factory=TreePhase)
    hard: HardPhase = field(default_factory=HardPhase)
    eliminate: EliminatePhase = field(default_factory=EliminatePhase)
    all: PhaseConfig = field(default_factory=PhaseConfig)

    def __post_init__(self) -> None:
        """Refuse a curriculum without phases."""
        if self.patience < 0:
            raise ValueError(f"patience is {self.patience}, it must be at least 0")
        if self.enabled and not any(getattr(self, name).share for name in PHASES):
            raise ValueError("every phase has share 0, one must have more")


class Curriculum:
    """Where training stands in the phases.

    Args:
        config: with `enabled`.
        steps: of the whole training.
    """

    def __init__(self, config: CurriculumConfig, steps: int) -> None:
        self.config, self.steps = config, steps
        self.phases = [i for i, name in enumerate(PHASES, 1) if getattr(config, name).share]
        self.place = 0
        self.since = 0
        self.stalled = 0
        self.last_loss: float | None = None

    @property
    def phase(self) -> int:
        """Number of the phase, from 1, in PHASES."""
        return self.phases[self.place]

    @property
    def name(self) -> str:
        """Name of the phase."""
        return PHASES[self.phase - 1]

    @property
    def negatives(self) -> PhaseConfig:
        """The negatives of the phase."""
        phase: PhaseConfig = getattr(self.config, self.name)
        return phase

    def before(self, step: int) -> str | None:
        """Enter the next phase if this one's share is used up by `step`; the switch, if any."""
        used = step - self.since
        if used < self.negatives.share * self.steps or self._is_last:
            return None
        return self._enter(step, f"{used} steps are its share")

    def after_epoch(self, step: int, first: int, loss: float) -> str | None:
        """Enter the next phase if this one stopped paying; the switch, if any.

        Args:
            step: the one that comes next.
            first: first step of the epoch that has ended.
            loss: mean query loss of that epoch.
        """
        if first < self.since:
            return None
        before, self.last_loss = self.last_loss, loss
        ends = self._is_last or step >= self.steps
        if before is None or not self.config.patience or ends:
            return None
        fall = (before - loss) / max(abs(before), 1e-12)
        self.stalled = self.stalled + 1 if fall < self.config.threshold else 0
        if self.stalled < self.config.patience:
            return None
        return self._enter(step, f"the query loss fell by {fall:.1%}")

    @property
    def _is_last(self) -> bool:
        return self.place + 1 == len(self.phases)

    def _enter(self, step: int, reason: str) -> str:
        left = self.name
        self.place += 1
        self.since, self.stalled, self.last_loss = step, 0, None
        switch = f"curriculum: {left} -> {self.name} at step {step}, {reason}"
        _log.info(switch)
        return switch

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; JSON."""
        return {
            "place": self.place,
            "since": self.since,
            "stalled": self.stalled,
            "last_loss": self.last_loss,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self.place, self.since = int(state["place"]), int(state["since"])
        self.stalled, self.last_loss = int(state["stalled"]), state["last_loss"]
