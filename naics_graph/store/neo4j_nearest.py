"""The nearest codes from a Neo4j server: by its vector index where that pays, else by a scan.

Reads are read-committed, so an answer can overlap the commit that activates another set, and even
the properties of one node be of both. Every row names its set, its point is compared with the one
the set holds, and index scores with the stored vectors; an answer that is not wholly of the one
active set is asked again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from naics_graph.errors import DatabaseError
from naics_graph.store import sets
from naics_graph.store.contract import NearestRequest, Neighbour, Row
from naics_graph.store.neo4j_connection import Connection
from naics_graph.store.queries import load_query
from naics_graph.taxonomy.model import LEVELS, key_of

LEAST_FETCH: Final = 100
OVER_FETCH: Final = 5
"""The index is asked for this many times the limit, and no fewer than LEAST_FETCH."""
GROWTH: Final = 4
SCANNED_LEVELS: Final = (2, 3, 4)
"""Levels with few codes (20, 96, 308): measuring each costs less than finding them in the index."""
SEARCH_SINCE: Final = (2026, 1)
SAME_SCORE: Final = 1e-4
"""Scores are float32 cosines; those of another set's vectors differ by more."""
ATTEMPTS: Final = 20


def nearest(connection: Connection, request: NearestRequest) -> list[Neighbour]:
    """Answer a request of the contract.

    Raises:
        DatabaseError: no set is active, its dimensions are not the point's, or activations kept
            overlapping.
    """
    for _ in range(ATTEMPTS):
        found = _ask(connection, request)
        if not found and not _active(connection, request.vintage):
            raise sets.no_active_set(request.vintage, connection.location)
        if all(_consistent(row) for row in found):
            return [_neighbour(row, request, connection.location) for row in found]
    raise DatabaseError(
        f"the active set changed during each of {ATTEMPTS} attempts",
        where=connection.location,
        do="ask again when no other program activates sets",
    )


def _ask(connection: Connection, request: NearestRequest) -> list[Row]:
    flipped = np.concatenate([-request.point[:1], request.point[1:]]).astype(np.float64)
    parameters: dict[str, Any] = {
        "vintage": request.vintage,
        "flipped": flipped.tolist(),
        "limit": request.limit,
        "level": request.level,
        "exclude": request.exclude,
    }
    if not (request.exact or request.within or request.level in SCANNED_LEVELS):
        fetch = max(LEAST_FETCH, OVER_FETCH * request.limit)
        for number in (fetch, fetch * GROWTH):
            found = _ask_index(connection, request, {**parameters, "fetch": number})
            if len(found) >= request.limit:
                return found
    # Few candidates, or other vintages fill the index near this point.
    within = None if request.within is None else key_of(request.vintage, request.within)
    return connection.read(_query("nearest_scan"), **parameters, within=within)


def _ask_index(
    connection: Connection, request: NearestRequest, parameters: dict[str, Any]
) -> list[Row]:
    parameters["knn"] = np.asarray(request.knn_query, dtype=np.float64).tolist()
    if connection.version < SEARCH_SINCE:
        return connection.read(_query("nearest_index"), **parameters)
    levels = LEVELS if request.level is None else (request.level,)
    bounds = {"lowest": levels[0], "highest": levels[-1]}
    return connection.read(_query("nearest_search"), **parameters, **bounds)


def _query(name: str) -> str:
    return load_query("neo4j", name)


def _active(connection: Connection, vintage: str) -> bool:
    return bool(connection.read(_query("active_set"), vintage=vintage))


def _consistent(row: Row) -> bool:
    """Whether a row and its point are the active set's, and the index knew it by its vector now."""
    fresh = "score" not in row or abs(row["score"] - row["now"]) <= SAME_SCORE
    return bool(row["embedding_set"] == row["active"] and row["whole"]) and fresh


def _neighbour(row: Row, request: NearestRequest, location: str) -> Neighbour:
    embedding = np.array(row["embedding"], dtype=np.float64)
    sets.check_dims(len(embedding) - 1, request.point, row["embedding_set"], location)
    return Neighbour(
        code=row["code"],
        title=row["title"],
        level=row["level"],
        embedding=embedding,
        embedding_set=row["embedding_set"],
        path=tuple((code, title) for code, title in row["path"] or ()),
    )
