"""The frozen split of the index entries, and the rule by which two texts count as one.

Two texts are equal when they are the same string after `normalise`, and nearly equal when the
Jaccard index of their trigram sets is at least 0.9.
"""

from __future__ import annotations

import re
from typing import Final

NEARLY: Final = 0.9
"""Jaccard index of trigram sets from which two texts are nearly equal."""

_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")


def normalise(text: str) -> str:
    """Lower case, every run of other characters than a-z and 0-9 one space, no space at the ends."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).strip()


def trigrams(normalised: str) -> frozenset[str]:
    """The three-character substrings of a normalised text with one space at each end."""
    padded = f" {normalised} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| / |a ∪ b|, 0-1; 0 when both are empty."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def nearly_equal(a: str, b: str) -> bool:
    """Whether two texts are equal or nearly equal: each repeats the other."""
    left, right = normalise(a), normalise(b)
    return left == right or jaccard(trigrams(left), trigrams(right)) >= NEARLY
