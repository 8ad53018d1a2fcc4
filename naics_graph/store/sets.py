"""Embedding sets as rows, and the checks every store makes before it publishes one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naics_graph.errors import DatabaseError, DataError
from naics_graph.store.contract import EmbeddingRows, EmbeddingSetInfo, Row
from naics_graph.taxonomy.model import key_of

KNN_WIDTH: Final = 66
"""Length of stored index vectors, as the migrations declare it: that of `geometry.lorentz`, which
this layer must not import (a test compares the two)."""

VECTORS: Final = ("embedding", "radius", "poincare_x", "poincare_y", "knn", "moved")
"""Properties of an Embedding that activation copies onto its Industry."""


def set_row(info: EmbeddingSetInfo, *, active: bool) -> Row:
    """The (:EmbeddingSet) node of a set; metrics as JSON."""
    return {
        "id": info.id,
        "vintage": info.vintage,
        "status": "active" if active else "inactive",
        "created": info.created,
        "dims": info.dims,
        "curvature": float(info.curvature),
        "model_sha256": info.model_sha256,
        "data_sha256": info.data_sha256,
        "metrics": json.dumps(dict(info.metrics)),
    }


def set_info(row: Row) -> EmbeddingSetInfo:
    """The inverse of `set_row`; further fields of the row are ignored."""
    known = {name: row[name] for name in EmbeddingSetInfo.__slots__ if name != "metrics"}
    return EmbeddingSetInfo(**known, metrics=json.loads(row["metrics"]))


def embedding_key(set_id: str, vintage: str, code: str) -> str:
    """Key of one (:Embedding)."""
    return f"{set_id}|{key_of(vintage, code)}"


def embedding_columns(info: EmbeddingSetInfo, rows: EmbeddingRows) -> dict[str, Any]:
    """The (:Embedding) nodes as columns: strings in lists, vectors as float64 arrays.

    Fields: key, set, industry (the Industry's key) and VECTORS.
    """
    return {
        "key": [embedding_key(info.id, info.vintage, code) for code in rows.codes],
        "set": [info.id] * len(rows.codes),
        "industry": [key_of(info.vintage, code) for code in rows.codes],
        "embedding": rows.embedding,
        "radius": rows.radius,
        "poincare_x": rows.poincare[:, 0],
        "poincare_y": rows.poincare[:, 1],
        "knn": rows.knn,
        "moved": rows.moved,
    }


def check_rows(info: EmbeddingSetInfo, rows: EmbeddingRows, knn_width: int = KNN_WIDTH) -> None:
    """Refuse vectors of the wrong shape, numbers that are not finite, a code named twice.

    Raises:
        DataError: one of these.
    """
    n = len(rows.codes)
    wanted = {
        "embedding": (rows.embedding, (n, info.dims + 1)),
        "radius": (rows.radius, (n,)),
        "poincare": (rows.poincare, (n, 2)),
        "knn": (rows.knn, (n, knn_width)),
        "moved": (rows.moved, (n,)),
    }
    where = f"embedding set {info.id}"
    for name, (array, shape) in wanted.items():
        _check_array(name, array, shape, where)
    if n == 0 or len(set(rows.codes)) != n:
        raise DataError(
            "the set names a code twice" if n else "the set has no codes",
            where=where,
            do="give every code of the vintage one row",
        )


def check_loaded(info: EmbeddingSetInfo, codes: Sequence[str], loaded: set[str]) -> None:
    """Refuse a set whose codes are not all in the database.

    Raises:
        DatabaseError: some are not; the message names the first.
    """
    absent = [code for code in codes if code not in loaded]
    if absent:
        raise DatabaseError(
            f"{len(absent)} codes of the set are not loaded, first {absent[0]!r}",
            where=f"embedding set {info.id}, vintage {info.vintage}",
            do=f"run `naics-graph load --vintage {info.vintage}` first",
        )


def check_dims(dims: int, point: NDArray[np.float64], set_id: str, location: str) -> None:
    """Refuse to compare a point (d+1,) with a set of other dimensions.

    Raises:
        DatabaseError: `dims` is not d.
    """
    if dims != len(point) - 1:
        raise DatabaseError(
            f"the set {set_id} has {dims} dimensions, the point {len(point) - 1}",
            where=location,
            do="ask with a point of the active set's own model",
        )


def set_exists(set_id: str, location: str) -> DatabaseError:
    """The error for publishing an id twice."""
    return DatabaseError(
        f"there is already an embedding set {set_id!r}",
        where=location,
        do=f"publish under another id, or `naics-graph sets delete {set_id}` first",
    )


def no_such_set(set_id: str, location: str) -> DatabaseError:
    """The error for a set that is not in the database."""
    return DatabaseError(
        f"there is no embedding set {set_id!r}",
        where=location,
        do="`naics-graph sets` lists them",
    )


def set_is_active(set_id: str, location: str) -> DatabaseError:
    """The error for deleting the active set."""
    return DatabaseError(
        f"the embedding set {set_id!r} is active",
        where=location,
        do="activate another set of its vintage first: `naics-graph sets activate ID`",
    )


def no_active_set(vintage: str, location: str) -> DatabaseError:
    """The error for a question without an active set."""
    return DatabaseError(
        f"no embedding set of vintage {vintage} is active",
        where=location,
        do="run `naics-graph train`, or `naics-graph sets activate ID`",
    )


def not_loaded(vintage: str | None, loaded: Sequence[str], location: str) -> DatabaseError:
    """The error for a vintage that is not in the database; None: nothing is."""
    saw = f"vintage {vintage} is not loaded" if vintage is not None else "nothing is loaded"
    has = f" (there is: {', '.join(loaded)})" if loaded else ""
    flag = f" --vintage {vintage}" if vintage is not None else ""
    return DatabaseError(saw + has, where=location, do=f"run `naics-graph load{flag}`")


def _check_array(name: str, array: NDArray[np.float64], shape: tuple[int, ...], where: str) -> None:
    if array.shape != shape or array.dtype != np.float64:
        raise DataError(
            f"{name} has shape {array.shape} of {array.dtype}, not {shape} of float64",
            where=where,
            do="publish vectors as the contract describes them",
        )
    if not np.isfinite(array).all():
        raise DataError(
            f"{name} has numbers that are not finite",
            where=where,
            do="do not publish a run that diverged",
        )
