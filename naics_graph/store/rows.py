"""A taxonomy as rows of a graph, and back.

Nodes and relationships are plain dictionaries whose fields are the properties of DESIGN section 3.
Every row has a `key` and a `hash` of its content; `position` keeps the published order and is not
part of the hash, so that one inserted row does not change all those after it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from naics_graph.errors import DataError
from naics_graph.store.contract import GraphExport, GraphNodes, Relation, Row
from naics_graph.taxonomy.model import (
    EntrySource,
    Exclusion,
    IndexEntry,
    Industry,
    Role,
    Taxonomy,
    key_of,
)

Group = Literal["Industry", "IndexEntry", "HAS_CHILD", "EXCLUDES", "CLASSIFIED_AS", "BECAME"]
GROUPS: Final[tuple[Group, ...]] = (
    "Industry",
    "IndexEntry",
    "HAS_CHILD",
    "EXCLUDES",
    "CLASSIFIED_AS",
    "BECAME",
)
GroupRows = dict[Group, list[Row]]

_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)

SAME: Final = "same"
"""Kind of BECAME between equal code and title of neighbouring vintages."""


def content_hash(*values: Any) -> str:
    """32 hexadecimal digits of the sha256 of JSON values."""
    return hashlib.sha256(_JSON.encode(values).encode()).hexdigest()[:32]


NO_CONTENT: Final = content_hash({})
"""Hash of a relationship that has only its ends."""


def taxonomy_rows(taxonomy: Taxonomy) -> GroupRows:
    """The rows of one vintage by group, all but BECAME (see `became_rows`).

    Raises:
        DataError: two rows have one key, or the key of an entry does not start with its vintage.
    """
    vintage = taxonomy.vintage
    rows: GroupRows = {
        "Industry": [_industry(vintage, i, n) for n, i in enumerate(taxonomy.industries)],
        "IndexEntry": [_entry(vintage, e, n) for n, e in enumerate(taxonomy.entries)],
        "HAS_CHILD": [
            _relationship(key_of(vintage, i.parent), key_of(vintage, i.code))
            for i in taxonomy.industries
            if i.parent is not None
        ],
        "EXCLUDES": _exclusions(vintage, taxonomy.exclusions),
        "CLASSIFIED_AS": [_relationship(e.key, key_of(vintage, e.code)) for e in taxonomy.entries],
        "BECAME": [],
    }
    for group, found in rows.items():
        _check_unique(vintage, group, found)
    return rows


def vintage_row(taxonomy: Taxonomy, rows: GroupRows) -> Row:
    """The (:Vintage) node: what was left out, whether a split was applied, the content's version.

    `version` changes whenever the vintage's content or order does.
    """
    content = [[row["key"], row["hash"]] for group in GROUPS[:-1] for row in rows[group]]
    left_out = json.dumps(dict(taxonomy.left_out))
    return {
        "vintage": taxonomy.vintage,
        "version": content_hash(taxonomy.vintage, left_out, content),
        "left_out": left_out,
        "split": has_split(taxonomy),
    }


def has_split(taxonomy: Taxonomy) -> bool:
    """Whether roles were applied: then texts outside this load were not checked against them."""
    return any(entry.role is not None for entry in taxonomy.entries)


def became_rows(
    vintage: str, titles: Mapping[str, str], others: Mapping[str, Mapping[str, str]]
) -> list[Row]:
    """BECAME {kind: 'same'} between equal code and title of `vintage` and its loaded neighbours.

    Args:
        vintage: the vintage being loaded.
        titles: its titles by code.
        others: titles by code of every other loaded vintage (codes marked missing left out).
    """
    known = {**others, vintage: titles}
    return [
        _relationship(key_of(old, code), key_of(new, code), kind=SAME)
        for old, new in pairwise(sorted(known))
        if vintage in (old, new)
        for code, title in known[old].items()
        if known[new].get(code) == title
    ]


def taxonomy_of(
    vintage: Row, industries: Iterable[Row], exclusions: Iterable[Row], entries: Iterable[Row]
) -> Taxonomy:
    """A taxonomy from its stored rows, in the order in which it was loaded.

    Args:
        vintage: the row of `vintage_row`.
        industries: rows of Industry, without those marked missing.
        exclusions: rows {source, target, text, clause, position}, source and target codes.
        entries: rows of IndexEntry.
    """
    return Taxonomy(
        vintage=vintage["vintage"],
        industries=tuple(
            Industry(
                code=row["code"],
                title=row["title"],
                parent=row["parent"],
                description=row["description"],
                examples=tuple(row["examples"] or ()),
                excluded=tuple(row["excluded"] or ()),
                described_by=row["described_by"],
            )
            for row in sorted(industries, key=_position)
        ),
        exclusions=tuple(
            Exclusion(row["source"], row["target"], row["text"], row["clause"])
            for row in sorted(exclusions, key=_position)
        ),
        entries=tuple(
            IndexEntry(
                row["key"],
                row["text"],
                row["code"],
                EntrySource(row["source"]),
                None if row["role"] is None else Role(row["role"]),
            )
            for row in sorted(entries, key=_position)
        ),
        left_out=json.loads(vintage["left_out"]),
    )


def graph_nodes(vintage: Row, codes: Row, entries: Row) -> GraphNodes:
    """The nodes of a topology in key order.

    Args:
        vintage: the row of `vintage_row`.
        codes: columns {key, place} of the codes of the vintage, the key a code.
        entries: the same of its entries, validation left out.
    """
    code, code_place = _in_key_order(codes)
    entry, entry_place = _in_key_order(entries)
    return GraphNodes(vintage["vintage"], vintage["version"], code, entry, code_place, entry_place)


def _in_key_order(columns: Row) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    keys: list[str] = columns["key"]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    place = np.array(columns["place"], dtype=np.int64)[order]
    return tuple(keys[i] for i in order), place


def graph_edges(nodes: GraphNodes, relation: Relation, pairs: Row) -> NDArray[np.int64]:
    """(2, e) node numbers in order of source, then target.

    Args:
        nodes: where the numbers come from.
        relation: its node types.
        pairs: columns {source, target} of keys. A pair whose end is not among the nodes is left
            out; a pair named twice counts once.
    """
    keys = {"industry": nodes.codes, "entry": nodes.entries}
    ends = []
    for node_type, column in ((relation[0], "source"), (relation[2], "target")):
        number = {key: i for i, key in enumerate(keys[node_type])}
        ends.append([number.get(key, -1) for key in pairs[column]])
    edges = np.array(ends, dtype=np.int64)
    return np.unique(edges[:, (edges >= 0).all(axis=0)], axis=1)


def with_edges(nodes: GraphNodes, edges: Mapping[Relation, NDArray[np.int64]]) -> GraphExport:
    """The nodes together with their edges."""
    values = {field.name: getattr(nodes, field.name) for field in dataclasses.fields(GraphNodes)}
    return GraphExport(**values, edges=edges)


def _industry(vintage: str, industry: Industry, position: int) -> Row:
    content: Row = {
        "code": industry.code,
        "parent": industry.parent,
        "title": industry.title,
        "description": industry.description,
        "examples": list(industry.examples),
        "excluded": list(industry.excluded),
        "described_by": industry.described_by,
    }
    return {
        "key": key_of(vintage, industry.code),
        "vintage": vintage,
        "level": industry.level,
        "depth": industry.depth,
        "missing": False,
        **content,
        "hash": content_hash(content),
        "position": position,
    }


def _entry(vintage: str, entry: IndexEntry, position: int) -> Row:
    if not entry.key.startswith(f"{vintage}:"):
        raise DataError(
            f"the index entry {entry.key!r} has a key without its vintage",
            where=f"NAICS {vintage}, index entries",
            do=f"start its key with '{vintage}:'; keys are unique over all vintages",
        )
    content: Row = {
        "code": entry.code,
        "text": entry.text,
        "role": None if entry.role is None else str(entry.role),
        "source": str(entry.source),
    }
    return {
        "key": entry.key,
        "vintage": vintage,
        **content,
        "hash": content_hash(content),
        "position": position,
    }


def _exclusions(vintage: str, exclusions: Sequence[Exclusion]) -> list[Row]:
    """One row per exclusion; several between two codes are told apart by their number."""
    seen: Counter[tuple[str, str]] = Counter()
    rows = []
    for position, exclusion in enumerate(exclusions):
        pair = (exclusion.source, exclusion.target)
        rows.append(
            _relationship(
                key_of(vintage, exclusion.source),
                key_of(vintage, exclusion.target),
                number=seen[pair],
                position=position,
                text=exclusion.text,
                clause=exclusion.clause,
            )
        )
        seen[pair] += 1
    return rows


def _relationship(
    start: str, end: str, *, number: int = 0, position: int = 0, **properties: str
) -> Row:
    return {
        "key": relationship_key(start, end, number),
        "start": start,
        "end": end,
        "number": number,
        **properties,
        "hash": content_hash(properties) if properties else NO_CONTENT,
        "position": position,
    }


def relationship_key(start: str, end: str, number: int = 0) -> str:
    """Key of the `number`-th relationship of a type between two nodes."""
    return f"{start}>{end}" if number == 0 else f"{start}>{end}#{number}"


def _check_unique(vintage: str, group: Group, rows: Sequence[Row]) -> None:
    twice = [key for key, n in Counter(row["key"] for row in rows).items() if n > 1]
    if twice:
        raise DataError(
            f"{len(twice)} keys occur more than once, first {twice[0]!r}",
            where=f"NAICS {vintage}, {group}",
            do="give every code and entry one row",
        )


def _position(row: Row) -> int:
    return int(row["position"])
