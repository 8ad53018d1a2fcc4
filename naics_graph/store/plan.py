"""What a load has to write: the difference between a taxonomy's rows and a database.

What vanishes from a vintage: an index entry, and a relationship that was derived from the texts of
its codes, is deleted, for an entry that became sealed must not stay. A code is never deleted: it is
reported, marked `missing` (with the hash ""), keeps its place in the tree and its vectors, and is
no longer read back. When the load has a split, description, examples and exclusion texts of every
missing code are emptied, because nobody compared them with that split's sealed entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from naics_graph.store.contract import LoadReport, Row
from naics_graph.store.rows import (
    GROUPS,
    Group,
    became_rows,
    has_split,
    taxonomy_rows,
    vintage_row,
)
from naics_graph.taxonomy.model import Taxonomy


class Stored(NamedTuple):
    """What a database knows of a row: content hash ("" for a code marked missing) and place."""

    hash: str
    position: int = 0


StoredGroups = Mapping[Group, Mapping[str, Stored]]
NOTHING_STORED: Final[StoredGroups] = {group: {} for group in GROUPS}


@dataclass(frozen=True, slots=True)
class Diff:
    """How new rows of one group differ from the stored ones.

    `moved` are equal in content but stand at another position: they are written, and count as
    unchanged. `missing` are keys that only the database has.
    """

    created: tuple[Row, ...]
    updated: tuple[Row, ...]
    moved: tuple[Row, ...]
    unchanged: int
    missing: tuple[str, ...]


def diff_rows(new: Sequence[Row], stored: Mapping[str, Stored]) -> Diff:
    """Compare new rows with the stored hashes of the same group and vintage."""
    created, updated, moved = [], [], []
    for row in new:
        old = stored.get(row["key"])
        if old is None:
            created.append(row)
        elif old.hash != row["hash"]:
            updated.append(row)
        elif old.position != row["position"]:
            moved.append(row)
    keys = {row["key"] for row in new}
    return Diff(
        tuple(created),
        tuple(updated),
        tuple(moved),
        len(new) - len(created) - len(updated),
        tuple(key for key in stored if key not in keys),
    )


@dataclass(frozen=True)
class LoadPlan:
    """One load: all rows by group, and what of them to write.

    `vintage` is the (:Vintage) node to write; `vanished` the keys of all codes that only the
    database has, `to_mark` those not marked missing yet; `to_delete` the keys to delete by group.
    """

    taxonomy: Taxonomy
    vintage: Row
    rows: Mapping[Group, list[Row]]
    diffs: Mapping[Group, Diff]
    vanished: tuple[str, ...]
    to_mark: tuple[str, ...]
    to_delete: Mapping[Group, tuple[str, ...]]
    new_version: bool

    @cached_property
    def split(self) -> bool:
        """Whether the load has roles; then the texts of missing codes are emptied."""
        return has_split(self.taxonomy)

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        written = any(d.created or d.updated or d.moved for d in self.diffs.values())
        deleted = any(self.to_delete.values())
        return self.new_version or written or deleted or bool(self.to_mark)

    def report(self, database: str, seconds: float, *, dry_run: bool) -> LoadReport:
        """The counts of this load. `missing`: codes kept, and entries and relationships deleted."""
        entries: dict[str, int] = {}
        for entry in self.taxonomy.entries:
            entries[str(entry.source)] = entries.get(str(entry.source), 0) + 1
        return LoadReport(
            database=database,
            vintage=self.taxonomy.vintage,
            codes=len(self.taxonomy.industries),
            index_entries=entries,
            left_out=dict(self.taxonomy.left_out),
            exclusions=len(self.taxonomy.exclusions),
            created=sum(len(d.created) for d in self.diffs.values()),
            updated=sum(len(d.updated) for d in self.diffs.values()),
            unchanged=sum(d.unchanged for d in self.diffs.values()),
            missing=len(self.vanished) + sum(map(len, self.to_delete.values())),
            seconds=seconds,
            dry_run=dry_run,
            missing_keys=self.vanished,
        )


def plan_load(
    taxonomy: Taxonomy,
    stored: StoredGroups = NOTHING_STORED,
    *,
    version: str | None = None,
    others: Mapping[str, Mapping[str, str]] | None = None,
) -> LoadPlan:
    """Compare a taxonomy with what a database holds of its vintage.

    Args:
        taxonomy: what to load.
        stored: by group, hash and position by key, of this vintage (codes marked missing included,
            with hash ""). Of BECAME: kind 'same' with start.vintage <= vintage <= end.vintage, so
            that a link over a vintage loaded in between is found and deleted.
        version: the stored version of this vintage.
        others: titles by code of the other loaded vintages, without codes marked missing.
    """
    rows = taxonomy_rows(taxonomy)
    node = vintage_row(taxonomy, rows)
    titles = {industry.code: industry.title for industry in taxonomy.industries}
    rows["BECAME"] = became_rows(taxonomy.vintage, titles, others or {})
    diffs = {group: diff_rows(rows[group], stored.get(group, {})) for group in GROUPS}
    vanished = diffs["Industry"].missing
    return LoadPlan(
        taxonomy=taxonomy,
        vintage=node,
        rows=rows,
        diffs=diffs,
        vanished=vanished,
        to_mark=tuple(key for key in vanished if stored["Industry"][key].hash),
        to_delete={
            group: _to_delete(group, diffs[group].missing, frozenset(vanished))
            for group in GROUPS
            if group != "Industry"
        },
        new_version=version != node["version"],
    )


def _to_delete(group: Group, missing: tuple[str, ...], vanished: frozenset[str]) -> tuple[str, ...]:
    """A missing code keeps the edge from its parent; all else that vanished goes."""
    if group != "HAS_CHILD":
        return missing
    return tuple(key for key in missing if key.partition(">")[2] not in vanished)
