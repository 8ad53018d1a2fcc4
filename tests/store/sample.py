"""A small taxonomy of two vintages, and embedding sets for it, made without the code under test."""

from __future__ import annotations

import dataclasses

import numpy as np

from naics_graph.store.contract import EmbeddingRows, EmbeddingSetInfo
from naics_graph.taxonomy.model import (
    EntrySource,
    Exclusion,
    IndexEntry,
    Industry,
    Role,
    Taxonomy,
)

_TREE = """
11 111 1111 11111 111110 1112 11121 111211 111219
31-33 311 3111 31111 311111 311119 332 3321 33211 332111 332112
54 541 5415 54151 541511 541512 541519 5416 54161 541611
"""
CODES = tuple(_TREE.split())
ONLY_2017 = "111219"
RENAMED = "541519"
SEALED = "zymurgical quern dressing"
ECHO = "Zymurgical quern dressing"
"""An example that equals the sealed entry: without the split it is loaded, with it, left out."""
KNN_WIDTH = 66


def parent_of(code: str) -> str | None:
    if "-" in code or len(code) == 2:
        return None
    return "31-33" if len(code) == 3 and code[0] == "3" else code[:-1]


def sample(vintage: str = "2022", *, split: bool = False) -> Taxonomy:
    """Thirty codes with every kind of text; `split` gives roles and drops what is sealed."""
    codes = [code for code in CODES if vintage == "2017" or code != ONLY_2017]
    return Taxonomy(
        vintage=vintage,
        industries=tuple(_industry(vintage, code, split) for code in codes),
        exclusions=(
            Exclusion("111110", "111211", "Growing it--are in 111211.", "Growing it"),
            Exclusion("111110", "111211", "Packing it--are in 111211.", "Packing it"),
            Exclusion("54", "31-33", "Making it--is in 31-33.", "Making it"),
            Exclusion("541511", "541519", "Other--is in 541519.", "Other"),
        ),
        entries=tuple(_entries(vintage, codes, split)),
        left_out={"example": 1} if split else {},
    )


def _industry(vintage: str, code: str, split: bool) -> Industry:
    echo = (ECHO,) if code == "311119" and not split else ()
    pointer = code == "11111"
    new_name = vintage == "2022" and code == RENAMED
    return Industry(
        code=code,
        title=f"Title of {code}{', renamed' if new_name else ''}",
        parent=parent_of(code),
        description="" if pointer else f"What “{code}” does; naïvely told.",
        examples=(f"Example of {code}", *echo) if len(code) == 6 else (),
        excluded=("Growing it--are in 111211.", "Packing it--are in 111211.")
        if code == "111110"
        else (),
        described_by="111110" if pointer else None,
    )


def _entries(vintage: str, codes: list[str], split: bool) -> list[IndexEntry]:
    roles = (Role.TRAINING, Role.EXAMPLES, Role.VALIDATION)
    entries = [
        IndexEntry(
            f"{vintage}:{code}:{n}",
            f"Phrase {n} of {code}",
            code,
            EntrySource.COMPANION if n == 1 else EntrySource.CENSUS,
            role if split else None,
        )
        for code in codes
        if len(code) == 6 and code != "541512"
        for n, role in enumerate(roles)
    ]
    if not split:
        entries.insert(3, IndexEntry(f"{vintage}:sealed", SEALED, "311111"))
    return entries


def without(taxonomy: Taxonomy, code: str) -> Taxonomy:
    """The taxonomy without one code that has no children, and what hangs on it."""
    return dataclasses.replace(
        taxonomy,
        industries=tuple(i for i in taxonomy.industries if i.code != code),
        entries=tuple(e for e in taxonomy.entries if e.code != code),
        exclusions=tuple(e for e in taxonomy.exclusions if code not in (e.source, e.target)),
    )


def retitled(taxonomy: Taxonomy, code: str, title: str) -> Taxonomy:
    """The taxonomy with one title changed."""
    return dataclasses.replace(
        taxonomy,
        industries=tuple(
            dataclasses.replace(i, title=title) if i.code == code else i
            for i in taxonomy.industries
        ),
    )


def reversed_texts(taxonomy: Taxonomy) -> Taxonomy:
    """The same entries and exclusions in reversed order."""
    # Two exclusions between one pair of codes are told apart by their order.
    pairs = {(e.source, e.target): e for e in taxonomy.exclusions}
    return dataclasses.replace(
        taxonomy,
        entries=taxonomy.entries[::-1],
        exclusions=tuple(e for e in taxonomy.exclusions if pairs[e.source, e.target] is e)[::-1],
    )


def sample_set(
    taxonomy: Taxonomy, set_id: str, *, dims: int = 16, seed: int = 0, curvature: float = 1.0
) -> tuple[EmbeddingSetInfo, EmbeddingRows]:
    """A set of random points with radii up to 5 for every code of a taxonomy."""
    codes = [industry.code for industry in taxonomy.industries]
    generator = np.random.default_rng(seed)
    space = generator.normal(size=(len(codes), dims))
    space *= np.sinh(generator.uniform(0.1, 5.0, (len(codes), 1))) / np.linalg.norm(
        space, axis=1, keepdims=True
    )
    space /= np.sqrt(curvature)
    time = np.sqrt((space**2).sum(1, keepdims=True) + 1 / curvature)
    points = np.hstack([time, space])
    squared = (points**2).sum(1, keepdims=True)
    knn = np.zeros((len(codes), KNN_WIDTH))
    knn[:, : dims + 1] = points
    knn[:, dims + 1 : dims + 2] = np.sqrt(squared.max() - squared)
    root = np.sqrt(curvature)
    info = EmbeddingSetInfo(
        id=set_id,
        vintage=taxonomy.vintage,
        created=f"2026-01-01T00:00:{seed:02}+00:00",
        dims=dims,
        curvature=curvature,
        model_sha256="a" * 64,
        data_sha256="b" * 64,
        metrics={"mrr": 0.5},
    )
    radius = np.arcsinh(root * np.linalg.norm(space, axis=1)) / root
    moved = generator.exponential(size=len(codes))
    return info, EmbeddingRows(codes, points, radius, space[:, :2] / (time + 1), knn, moved)


def query_of(point: np.ndarray) -> np.ndarray:
    """The index query of a point."""
    query = np.zeros(KNN_WIDTH)
    query[: len(point)] = point
    query[0] *= -1
    return query
