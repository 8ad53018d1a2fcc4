"""Points of index entries. No database holds any: they are images of the entries' texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from naics_graph.refine.graph import ENTRY

if TYPE_CHECKING:
    from naics_graph.refine.database import DatabaseGraph

CACHED: Final = 1 << 16
"""Points kept: 34 MB in 64 dimensions."""

Encode = Callable[[Sequence[str]], NDArray[np.float64]]
"""Points (k, d+1) of k texts."""


class EntryPoints:
    """Makes them, and keeps those asked for last.

    Args:
        graph: where the entries and the database come from.
        encode: (k, width) points of k texts.
        width: d+1.
    """

    def __init__(self, graph: DatabaseGraph, encode: Encode, width: int) -> None:
        self._graph, self._encode, self._width = graph, encode, width
        self._kept: dict[int, NDArray[np.float64]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return EntryPoints, (self._graph, self._encode, self._width)

    def __call__(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """(k, width) points of entries with these distinct numbers.

        Raises:
            DatabaseError: the vintage was loaded anew since the nodes were read.
            ValueError: `encode` gave something else than points of the set's dimension.
        """
        found = {i: self._kept.pop(i) for i in numbers if i in self._kept}
        missing = [i for i in numbers if i not in found]
        if missing:
            found |= zip(missing, self._encoded(missing), strict=True)
        points = np.array([found[i] for i in numbers], dtype=np.float64)
        # Those asked for last stand last.
        self._kept |= found
        for i in list(islice(self._kept, max(0, len(self._kept) - CACHED))):
            del self._kept[i]
        return points.reshape(-1, self._width)

    def _encoded(self, numbers: list[int]) -> list[NDArray[np.float64]]:
        keys = self._graph.keys(ENTRY, np.array(numbers))
        texts = {r["key"]: r["text"] for r in self._graph.store.run("sample_texts", keys=keys)}
        self._graph.require_current()
        points = self._encode([texts[key] for key in keys])
        if points.shape != (len(keys), self._width):
            raise ValueError(
                f"entries gave {points.shape} for {len(keys)} texts, where the set needs "
                f"{(len(keys), self._width)}: encode with the model the set was published with"
            )
        # Copies: a row that is kept would keep all those encoded with it.
        return [point.copy() for point in points]
