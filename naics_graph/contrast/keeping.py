"""Which weights a training ends with: the last or the best measured, plain or averaged."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from naics_graph.errors import ConfigError

METRIC = "mrr"
"""What is best: the higher the better, on the held-out texts."""

Keep = Literal["last", "best"]
M = TypeVar("M", bound=nn.Module)


def no_judges() -> ConfigError:
    """The error of a training that is to judge its epochs and has nothing to judge them by."""
    return ConfigError(
        "there are no held-out texts to judge an epoch by",
        where="contrast.keep, contrast.early_stopping",
        do="load entries of the validation role or set held_out above 0, or keep the last epoch",
    )


class Averaged(Generic[M]):
    """Exponential moving average of a module's parameters; its buffers are copied.

        a <- a + (1 - k) (w - a),   k = min(decay, (1 + t) / (10 + t)) at step t

    The ramp lets a short training forget where it began (as TensorFlow's
    ExponentialMovingAverage with `num_updates` does).

    Args:
        module: what to follow; `module` of the average is a copy of it.
        decay: k in the long run, in (0, 1).
    """

    def __init__(self, module: M, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: M) -> None:
        """Follow one step of `module`."""
        kept = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for average, weight in zip(self.module.parameters(), module.parameters(), strict=True):
            average.lerp_(weight, 1.0 - kept)
        for copied, value in zip(self.module.buffers(), module.buffers(), strict=True):
            copied.copy_(value)


class Best:
    """The best epoch so far, its weights, and whether training should end.

    Args:
        keep: `best` holds a copy of the best weights.
        patience: end after so many epochs in a row that are no better; 0 never ends.
    """

    def __init__(self, keep: Keep, patience: int) -> None:
        self.keep, self.patience = keep, patience
        self.epoch = 0
        self.measured: dict[str, float] = {}
        self.worse = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return bool(self.patience) and self.worse >= self.patience

    def see(self, epoch: int, measured: Mapping[str, float], module: nn.Module) -> None:
        """Judge an epoch by what was measured after it.

        Raises:
            ConfigError: there is nothing to judge by.
        """
        if METRIC not in measured:
            raise no_judges()
        if not self.measured or measured[METRIC] > self.measured[METRIC]:
            self.epoch, self.measured, self.worse = epoch, dict(measured), 0
            if self.keep == "best":
                self.weights = {k: v.detach().clone() for k, v in module.state_dict().items()}
        else:
            self.worse += 1

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights."""
        return {"epoch": self.epoch, "measured": self.measured, "worse": self.worse}

    def restore(self, state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Inverse of `state` and `weights`."""
        self.epoch, self.worse = int(state["epoch"]), int(state["worse"])
        self.measured = dict(state["measured"])
        self.weights = dict(weights)
