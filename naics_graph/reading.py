"""Which part of a loaded taxonomy a run reads, and which part of it judges."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from naics_graph.taxonomy.model import Role, Taxonomy
from naics_graph.taxonomy.nearness import NearIndex
from naics_graph.taxonomy.repeats import without_repeats


def with_held_out(taxonomy: Taxonomy, share: float, seed: int) -> Taxonomy:
    """The taxonomy with an evaluated part: its validation role, else a seeded share of the entries.

    Entries held out are given the validation role, so nothing that learns reads them, and all
    other texts that (nearly) equal one are left out. An entry that repeats a title is not held out.
    """
    if any(entry.evaluated for entry in taxonomy.entries) or not share:
        return taxonomy
    drawn = np.random.default_rng(seed).random(len(taxonomy.entries)) < share
    titles = NearIndex(industry.title for industry in taxonomy.industries)
    entries = tuple(
        dataclasses.replace(entry, role=Role.VALIDATION)
        if chosen and entry.text not in titles
        else entry
        for entry, chosen in zip(taxonomy.entries, drawn, strict=True)
    )
    held = {entry.key: entry.text for entry in entries if entry.evaluated}
    split = dataclasses.replace(taxonomy, entries=entries)
    return without_repeats(split, NearIndex(held.values()), spared=held)


def with_fewer_entries(taxonomy: Taxonomy, per_code: int) -> Taxonomy:
    """The taxonomy with the first entries of every code (0: all) and all evaluated ones."""
    if not per_code:
        return taxonomy
    read: Counter[str] = Counter()
    entries = []
    for entry in taxonomy.entries:
        if not entry.evaluated:
            read[entry.code] += 1
        if entry.evaluated or read[entry.code] <= per_code:
            entries.append(entry)
    return dataclasses.replace(taxonomy, entries=tuple(entries))
