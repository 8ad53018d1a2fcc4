"""The structure-aware curriculum: which negatives are in use, from rough structure to fine.

`tree`      negatives sampled by tree distance, siblings masked: the broad order first.
`hard`      the nearest, and those the gate confuses.
`eliminate` the same without likely false negatives.
`all`       every code, the exact loss again; off (share 0) by default.

A phase ends when its share of the steps is used up, or sooner when it stops paying: after
`patience` windows of steps in a row over which the mean query loss was less than `threshold` of
itself below that of the window before. Windows begin with the phase, for other negatives make
another loss. The last phase lasts to the end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from naics_graph.config import require_below_one, require_not_negative
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
    """enabled: whether phases replace `objective.negatives`. window: share of all steps (at least
    one step) over which losses are averaged to be compared. threshold: the least a paying phase's
    loss falls from window to window, as a share of itself. patience: windows in a row that fall
    short of it and end a phase; 0 ends it by its share alone. The phases follow one another as
    listed.
    """

    enabled: bool = False
    window: float = 0.05
    threshold: float = 0.01
    patience: int = 2
    tree: TreePhase = field(default_factory=TreePhase)
    hard: HardPhase = field(default_factory=HardPhase)
    eliminate: EliminatePhase = field(default_factory=EliminatePhase)
    all: PhaseConfig = field(default_factory=PhaseConfig)

    def __post_init__(self) -> None:
        """Refuse a curriculum without phases, and values that compare nothing."""
        if not 0.0 < self.window <= 0.5:
            raise ValueError(f"window is {self.window}, it must be above 0 and at most 0.5")
        require_below_one(self, "threshold")
        require_not_negative(self, "patience")
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
        self.window = max(1, round(config.window * steps))
        self.place = 0
        self.since = 0
        self._compare_anew()

    def _compare_anew(self) -> None:
        self.losses: list[float] = []
        self.last_loss: float | None = None
        self.fall = 0.0
        self.stalled = 0

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
        """Enter the next phase if this one has ended when `step` is to come; the switch, if any."""
        if self.place + 1 == len(self.phases):
            return None
        used = step - self.since
        if used >= self.negatives.share * self.steps:
            return self._enter(step, f"{used} steps are its share")
        if 0 < self.config.patience <= self.stalled:
            return self._enter(step, f"the query loss fell by {self.fall:.1%}")
        return None

    def after(self, loss: float) -> None:
        """Take the query loss of a step, and compare windows where one is full."""
        self.losses.append(loss)
        if len(self.losses) < self.window:
            return
        before, self.last_loss = self.last_loss, sum(self.losses) / self.window
        self.losses = []
        if before is None:
            return
        self.fall = (before - self.last_loss) / max(abs(before), 1e-12)
        self.stalled = self.stalled + 1 if self.fall < self.config.threshold else 0

    def _enter(self, step: int, reason: str) -> str:
        left = self.name
        self.place += 1
        self.since = step
        self._compare_anew()
        switch = f"curriculum: {left} -> {self.name} at step {step}, {reason}"
        _log.info(switch)
        return switch

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; JSON."""
        return {
            "place": self.place,
            "since": self.since,
            "losses": self.losses,
            "last_loss": self.last_loss,
            "fall": self.fall,
            "stalled": self.stalled,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        self.place, self.since = int(state["place"]), int(state["since"])
        self.losses, self.last_loss = list(state["losses"]), state["last_loss"]
        self.fall, self.stalled = float(state["fall"]), int(state["stalled"])
