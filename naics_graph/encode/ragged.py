"""Compressed rows: items of n texts one behind the other, text i at `[start[i], start[i + 1])`."""

from __future__ import annotations

import torch
from torch import Tensor


def picked(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Where the items of some texts are.

    Args:
        start: (n + 1,) int64, ascending.
        rows: (m,) texts, in any order, repeated or not.

    Returns:
        (m + 1,) the starts of the picked texts, and (k,) positions of their items.
    """
    first = start[rows]
    size = start[rows + 1] - first
    new = torch.cat([size.new_zeros(1), size.cumsum(0)])
    return new, torch.arange(int(new[-1])) + (first - new[:-1]).repeat_interleave(size)
