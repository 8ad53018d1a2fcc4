"""Questions: a text or a code in, ranked codes with their distance, path and reason out.

The database proposes candidates by the Lorentz inner product (index or exact scan, over-fetched);
here they are measured again by the geodesic distance in float64, which fixes the final order. Every
row names the embedding set it came from, so an answer never mixes two sets.
"""

from __future__ import annotations

import dataclasses
import difflib
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from naics_graph.errors import DatabaseError, UsageError
from naics_graph.geometry import lorentz
from naics_graph.search.results import Hit, PathStep, SearchResult, SimilarResult, score_of
from naics_graph.search.why import evidence_for, kinship
from naics_graph.store.contract import (
    EmbeddingSetInfo,
    GraphStore,
    NearestRequest,
    Neighbour,
    Row,
)
from naics_graph.taxonomy.model import LEVELS, key_of

if TYPE_CHECKING:
    from naics_graph.artifact import Artifact

R = TypeVar("R")

MAX_TEXT: Final = 20_000
"""Characters of a question. The backbone reads some hundred words; more is a pasted document."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """Which codes may answer: one level (None: all), the codes below one code, how many."""

    level: int | None = 6
    within: str | None = None
    exclude: str | None = None
    limit: int = 10
    exact: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A candidate with its geodesic distance from the query point."""

    neighbour: Neighbour
    distance: float


def clean_text(text: str) -> str:
    """The text with white space runs as one space.

    Raises:
        UsageError: nothing is left, it holds control or undecodable characters, or it is longer
            than MAX_TEXT.
    """
    words = " ".join(text.split())
    if not words:
        raise UsageError(
            "the text is empty",
            where="search text",
            do='say what the business does, e.g. "mobile dog grooming"',
        )
    for position, character in enumerate(words):
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise UsageError(
                f"the text holds the control or undecodable character U+{ord(character):04X} at "
                f"position {position}",
                where="search text",
                do="give plain UTF-8 text",
            )
    if len(words) > MAX_TEXT:
        raise UsageError(
            f"the text has {len(words):,} characters",
            where="search text",
            do=f"describe one business in at most {MAX_TEXT:,} characters",
        )
    return words


def measure(
    point: NDArray[np.float64], neighbours: Sequence[Neighbour], curvature: float
) -> list[Measured]:
    """Candidates by geodesic distance from `point` (d+1,), nearest first, ties by code."""
    if not neighbours:
        return []
    points = torch.from_numpy(np.stack([neighbour.embedding for neighbour in neighbours]))
    query = torch.from_numpy(np.asarray(point, dtype=np.float64))
    distances = lorentz.distance(query.expand_as(points), points, curvature).tolist()
    pairs = [Measured(n, d) for n, d in zip(neighbours, distances, strict=True)]
    return sorted(pairs, key=lambda pair: (pair.distance, pair.neighbour.code))


def search_point(
    store: GraphStore, info: EmbeddingSetInfo, point: NDArray[np.float64], scope: Scope
) -> list[Measured]:
    """The codes of set `info` nearest a Lorentz point (d+1,), at most `scope.limit`.

    Raises:
        UsageError: `scope` holds a level, limit or code that cannot be.
        StaleSetError: another set was activated since `info` was read.
    """
    _check_scope(store, info.vintage, scope)
    query = lorentz.knn_query(torch.from_numpy(point), lorentz.KNN_WIDTH).numpy()
    request = NearestRequest(
        vintage=info.vintage,
        point=point,
        knn_query=query,
        limit=scope.limit,
        level=scope.level,
        within=scope.within,
        exclude=scope.exclude,
        exact=scope.exact,
    )
    neighbours = store.nearest(request)
    if any(neighbour.embedding_set != info.id for neighbour in neighbours):
        raise _stale(store, info)
    return measure(point, neighbours, info.curvature)[: scope.limit]


class StaleSetError(DatabaseError):
    """The active set changed between reading its description and its rows."""


def _stale(store: GraphStore, info: EmbeddingSetInfo) -> StaleSetError:
    return StaleSetError(
        f"the embedding set {info.id} was replaced while it answered",
        where=store.location,
        do="ask again",
    )


class Searcher:
    """Answers over one open store. Keeps the description and the model of the sets it has used.

    Args:
        store: an open store.
        runs: the folder of runs; the model of set ID is `runs/ID/artifact`.
        cache: where vectors of texts are kept, or None for no cache.
    """

    def __init__(self, store: GraphStore, runs: Path, cache: Path | None = None) -> None:
        self.store, self.runs, self.cache = store, runs, cache
        self._active: dict[str, EmbeddingSetInfo] = {}
        self._model: tuple[str, Artifact] | None = None

    def search(
        self, text: str, *, scope: Scope | None = None, vintage: str | None = None
    ) -> SearchResult:
        """The codes nearest a text. Errors as `naics_graph.handle.Handle.search`."""
        query, scope = clean_text(text), scope or Scope()
        vintage = self.vintage(vintage)

        def answer(info: EmbeddingSetInfo) -> SearchResult:
            point = self.model(info).encode([query])[0]
            found = search_point(self.store, info, point, scope)
            codes = [measured.neighbour.code for measured in found]
            reasons = evidence_for(self.store, vintage, codes, query) if codes else {}
            hits = _hits(found, lambda neighbour, _: str(reasons[neighbour.code]))
            return SearchResult(query, vintage, info.id, hits)

        return self._with_active(vintage, answer)

    def similar(
        self, code: str, *, scope: Scope | None = None, vintage: str | None = None
    ) -> SimilarResult:
        """The codes nearest a code. Errors as `naics_graph.handle.Handle.similar`."""
        vintage = self.vintage(vintage)
        check_code(self.store, vintage, code)
        scope = dataclasses.replace(scope or Scope(), exclude=code)

        def answer(info: EmbeddingSetInfo) -> SimilarResult:
            rows = self.store.run("search_path", key=key_of(vintage, code))
            own = tuple(PathStep(row["code"], row["title"]) for row in rows)
            point = self._stored_point(info, rows[-1])
            found = search_point(self.store, info, point, scope)
            hits = _hits(found, lambda _, path: kinship(path, own))
            return SimilarResult(code, vintage, info.id, hits)

        return self._with_active(vintage, answer)

    def encode(self, texts: Sequence[str], *, vintage: str | None = None) -> NDArray[np.float64]:
        """Texts as (n, d+1) Lorentz points of the active set's space."""
        cleaned = [clean_text(text) for text in texts]
        return self.model(self.active_set(self.vintage(vintage))).encode(cleaned)

    def vintage(self, wanted: str | None) -> str:
        """The wanted vintage, else the newest loaded.

        Raises:
            DatabaseError: nothing is loaded.
            UsageError: the wanted vintage is not loaded.
        """
        loaded = self.store.vintages()
        if not loaded:
            raise DatabaseError(
                "the database holds no vintage",
                where=self.store.location,
                do="load one with `naics-graph load`",
            )
        if wanted is not None and wanted not in loaded:
            raise UsageError(
                f"vintage {wanted!r} is not loaded",
                where=self.store.location,
                do=f"use one of {', '.join(loaded)}, or load it with `naics-graph load`",
            )
        return wanted or loaded[-1]

    def active_set(self, vintage: str) -> EmbeddingSetInfo:
        """The description of the active set of a vintage.

        Raises:
            DatabaseError: no set is active.
        """
        if vintage not in self._active:
            for info in self.store.embedding_sets():
                if info.vintage == vintage and info.status == "active":
                    self._active[vintage] = info
                    break
            else:
                raise DatabaseError(
                    f"no embedding set is active for vintage {vintage}",
                    where=self.store.location,
                    do="train with `naics-graph train`, or activate a set with "
                    "`naics-graph sets activate ID`",
                )
        return self._active[vintage]

    def model(self, info: EmbeddingSetInfo) -> Artifact:
        """The trained model of a set, loaded once.

        Raises:
            ArtifactMismatchError: it is not on this machine, or is not the one that was published.
        """
        from naics_graph.artifact import Artifact

        if self._model is None or self._model[0] != info.id:
            self._model = (info.id, Artifact.of_set(info, self.runs, self.cache))
        return self._model[1]

    def _stored_point(self, info: EmbeddingSetInfo, row: Row) -> NDArray[np.float64]:
        if row["embedding"] is None:
            raise DatabaseError(
                f"{row['code']} has no point in the active set {info.id}",
                where=self.store.location,
                do="train again with `naics-graph train`, or activate another set",
            )
        if row["embedding_set"] != info.id:
            raise _stale(self.store, info)
        return np.asarray(row["embedding"], dtype=np.float64)

    def _with_active(self, vintage: str, answer: Callable[[EmbeddingSetInfo], R]) -> R:
        try:
            return answer(self.active_set(vintage))
        except StaleSetError:
            # Another set was activated since this searcher last looked: look again, once.
            self._active.pop(vintage, None)
            return answer(self.active_set(vintage))


def check_code(store: GraphStore, vintage: str, code: str) -> None:
    """Whether a code exists.

    Raises:
        UsageError: it does not; the message names the nearest ones.
    """
    if store.run("search_path", key=key_of(vintage, code)):
        return
    rows = store.run("search_codes", vintage=vintage)
    codes = [row["code"] for row in rows]
    near = difflib.get_close_matches(code, codes, n=3, cutoff=0.5)
    near = near or [c for c in codes if c.startswith(code[:2])][:3]
    raise UsageError(
        f"{code!r} is no code of NAICS {vintage}",
        where=store.location,
        do=f"near ones: {', '.join(near)}" if near else "give a code such as 541511 or 44-45",
    )


def _check_scope(store: GraphStore, vintage: str, scope: Scope) -> None:
    if scope.level is not None and scope.level not in LEVELS:
        raise UsageError(
            f"level {scope.level} does not exist",
            where="--level",
            do="give the number of digits, 2 (sectors) to 6 (national industries)",
        )
    if scope.limit < 1:
        raise UsageError(f"limit {scope.limit} is below 1", where="--limit", do="ask for 1 or more")
    if scope.within is not None:
        check_code(store, vintage, scope.within)


def _hits(
    found: Sequence[Measured], why: Callable[[Neighbour, tuple[PathStep, ...]], str]
) -> tuple[Hit, ...]:
    hits = []
    for rank, measured in enumerate(found, start=1):
        neighbour = measured.neighbour
        path = tuple(PathStep(code, title) for code, title in neighbour.path)
        hits.append(
            Hit(
                rank=rank,
                code=neighbour.code,
                title=neighbour.title,
                level=neighbour.level,
                score=score_of(measured.distance),
                distance=measured.distance,
                path=path,
                why=why(neighbour, path),
            )
        )
    return tuple(hits)
