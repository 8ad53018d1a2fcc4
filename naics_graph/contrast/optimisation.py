"""What every trained stage needs: rate, flat state, sums of the loss, and what ends a training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from naics_graph.errors import GateFailedError


class DivergedError(GateFailedError):
    """Training produced a value that is not finite, or left the space it can learn in."""


def one_cycle(progress: float, warmup: float) -> float:
    """Learning-rate factor in [0, 1]: linear warm-up, then half a cosine to zero.

    Args:
        progress: share of all steps done, 0-1.
        warmup: share of the steps that warm up, 0-1.
    """
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / max(1.0 - warmup, 1e-9)))


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch's draws: a resumed epoch draws what an unbroken run draws in it."""
    return seed * 100_003 + epoch


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's rate from its `initial_lr` (set at first use)."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors, `index.name`, for safetensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `optimiser_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )


def weighted(parts: Mapping[str, Tensor], weights: object) -> dict[str, Tensor]:
    """Every part of a loss times the attribute of its name in `weights`."""
    return {name: getattr(weights, name) * part for name, part in parts.items()}


class Means:
    """Means of a loss and its parts over the steps of an epoch so far."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, values: Mapping[str, float]) -> None:
        """Count one more step."""
        self._steps += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    @property
    def values(self) -> dict[str, float]:
        """The means by name."""
        return {name: total / self._steps for name, total in self._sums.items()}


def require_finite(stage: str, step: int, parts: Mapping[str, Tensor]) -> None:
    """Stop at the first loss part that is not finite, by name.

    Raises:
        DivergedError: a part is NaN or infinite.
    """
    for name, value in parts.items():
        if not bool(torch.isfinite(value)):
            raise DivergedError(
                f"the loss part {name!r} became {value.item()} at step {step}",
                where=f"stage {stage}",
                do="lower the learning rate or this part's weight in a new run; the last "
                "checkpoint of this one is intact",
            )


def clip_gradient(stage: str, step: int, module: nn.Module, limit: float) -> None:
    """Scale the gradient of a module's parameters down to the norm `limit`.

    Raises:
        DivergedError: the norm is NaN or infinite; the first parameter whose own is, is named.
    """
    named = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    norm = nn.utils.get_total_norm(named.values())
    if not bool(torch.isfinite(norm)):
        sick = next((n for n, g in named.items() if not bool(torch.isfinite(g).all())), "all")
        raise DivergedError(
            f"the gradient of {sick} became {norm.item()} in norm at step {step}",
            where=f"stage {stage}",
            do="lower the learning rate in a new run; the last checkpoint of this one is intact",
        )
    nn.utils.clip_grads_with_norm_(module.parameters(), limit, norm)


def require_radius(
    stage: str, step: int, radius: float, limit: float, parts: Mapping[str, Tensor]
) -> None:
    """Stop where the codes' mean radius leaves its bound: beyond it gradients and digits are lost.

    Args:
        stage: for the message.
        step: for the message.
        radius: mean distance of the codes from the origin.
        limit: the largest that is let pass.
        parts: the weighted loss parts; the largest is named.

    Raises:
        DivergedError: `radius` is above `limit`.
    """
    if radius <= limit:
        return
    largest = max(parts, key=lambda name: abs(float(parts[name])))
    raise DivergedError(
        f"the mean radius of the codes became {radius:.3f} at step {step}, above {limit:.3f}; "
        f"the largest loss part is {largest!r} with {float(parts[largest]):.4g}",
        where=f"stage {stage}",
        do="lower the learning rate or this part's weight, or raise the weight of radius, or "
        "radius_limit; the last checkpoint is intact",
    )
