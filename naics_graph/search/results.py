"""What a question answers: typed results whose fields are those of the JSON output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathStep:
    """One code on the way from the sector to an answer."""

    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    rank: 1 is the best. distance: geodesic distance in the set's space, 0 or more, float64. score:
    1 / (1 + distance), in (0, 1], so a higher score is a nearer code; it is no probability. path:
    from the sector to the code itself. why: the evidence for it in the database, as a sentence.
    """

    rank: int
    code: str
    title: str
    level: int
    score: float
    distance: float
    path: tuple[PathStep, ...]
    why: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Answers to a text, nearest first, all from one embedding set."""

    query: str
    vintage: str
    embedding_set: str
    results: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class SimilarResult:
    """Answers to a code, nearest first, all from one embedding set; the code is not among them."""

    code: str
    vintage: str
    embedding_set: str
    results: tuple[Hit, ...]


def score_of(distance: float) -> float:
    """1 / (1 + distance): falls strictly from 1 at distance 0 towards 0."""
    return 1.0 / (1.0 + distance)
