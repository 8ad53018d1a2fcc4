"""One vintage of NAICS as validated, immutable values.

Codes are strings everywhere; `31-33`, `44-45` and `48-49` are single sectors whose children are
the subsectors 31x, 32x, 33x (and so on). `level` is the number of digits, 2-6 (a range counts 2);
`depth` is level - 1, the virtual root being 0. The key of a code is `vintage:code`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal

Channel = Literal["title", "description", "examples", "excluded"]
CHANNELS: Final[tuple[Channel, ...]] = ("title", "description", "examples", "excluded")

LEVEL_LABELS: Final[Mapping[int, str]] = {
    2: "Sector",
    3: "Subsector",
    4: "IndustryGroup",
    5: "NaicsIndustry",
    6: "NationalIndustry",
}
LEVELS: Final[tuple[int, ...]] = tuple(LEVEL_LABELS)


class Role(StrEnum):
    """What an index entry may be used for. Sealed entries are never loaded: no role here."""

    EXAMPLES = "examples"
    TRAINING = "training"
    VALIDATION = "validation"


Texts = Literal["census", "companion", "both"]
"""Whose texts a load takes: the Bureau's, this project's, or the Bureau's and these beside them."""
TEXTS: Final[tuple[Texts, ...]] = ("census", "companion", "both")


class EntrySource(StrEnum):
    """Who wrote an index entry: the Census Bureau, or this project's companion edition.

    A description of the companion edition is an entry where another text fills that channel.
    """

    CENSUS = "census"
    COMPANION = "companion"
    COMPANION_DESCRIPTION = "companion-description"


def level_of(code: str) -> int:
    """Number of digits of a code, 2-6; a range such as `31-33` is a sector, 2."""
    return 2 if "-" in code else len(code)


def key_of(vintage: str, code: str) -> str:
    """The database key of a code within its vintage."""
    return f"{vintage}:{code}"


def entry_key(vintage: str, source: EntrySource, code: str, text: str) -> str:
    """A key from what an entry says, not from its row: inserting a row changes no other key."""
    digest = hashlib.sha1(f"{code}\n{text}".encode(), usedforsecurity=False).hexdigest()
    return key_of(vintage, f"{source}:{digest[:16]}")


@dataclass(frozen=True, slots=True)
class Industry:
    """One code with its own texts. An empty text is "", an empty list (): never a placeholder.

    `described_by` names the code whose description this one points to ("See industry description
    for 111110."); the text itself is inherited by reference, never copied.
    """

    code: str
    title: str
    parent: str | None
    description: str = ""
    examples: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    described_by: str | None = None

    @property
    def level(self) -> int:
        """Number of digits, 2-6."""
        return level_of(self.code)

    @property
    def depth(self) -> int:
        """Steps from the virtual root, 1-5."""
        return self.level - 1


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A cross-reference resolved to a code: what `source` leaves out belongs to `target`.

    `text` is the sentence that says so, as one string of the source's `excluded`; `clause` is the
    activity alone ("Growing soybeans"), the labelled text whose code is `target`.
    """

    source: str
    target: str
    text: str
    clause: str


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A phrase and the six-digit code it is classified as. `role` is None without a split."""

    key: str
    text: str
    code: str
    source: EntrySource = EntrySource.CENSUS
    role: Role | None = None

    @property
    def evaluated(self) -> bool:
        """Whether the entry is for `evaluate` alone: nothing that learns or answers may read it."""
        return self.role is Role.VALIDATION


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """One validated vintage: industries, parents before children; texts and relations.

    `entries` are in published order with the evaluated ones behind the others: what is numbered or
    drawn by place then is the same with and without them. `left_out` counts by source the labelled
    texts dropped because they (nearly) equal a validation or sealed entry.
    """

    vintage: str
    industries: tuple[Industry, ...]
    exclusions: tuple[Exclusion, ...] = ()
    entries: tuple[IndexEntry, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the evaluated entries behind the others."""
        ordered = tuple(sorted(self.entries, key=lambda entry: entry.evaluated))
        object.__setattr__(self, "entries", ordered)


class TaxonomyIndex:
    """Look-ups over a taxonomy: positions, parents, children, ancestors."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.codes: list[str] = [industry.code for industry in taxonomy.industries]
        self.position: dict[str, int] = {code: i for i, code in enumerate(self.codes)}
        self.by_code: dict[str, Industry] = {i.code: i for i in taxonomy.industries}

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Children of every code, in code order; leaves have an empty list."""
        result: dict[str, list[str]] = {code: [] for code in self.codes}
        for industry in self.taxonomy.industries:
            if industry.parent is not None:
                result[industry.parent].append(industry.code)
        return result

    def ancestors(self, code: str) -> list[str]:
        """Ancestors of a code from its parent up to its sector."""
        result: list[str] = []
        parent = self.by_code[code].parent
        while parent is not None:
            result.append(parent)
            parent = self.by_code[parent].parent
        return result

    def path(self, code: str) -> list[str]:
        """The codes from the sector down to `code` itself."""
        return [*reversed(self.ancestors(code)), code]

    def twins(self, code: str) -> list[str]:
        """`code` with every code joined to it by an unbroken chain of single-child parents.

        Such codes name one industry at several levels and share its texts (525 titles and 522
        descriptions of 2022 are equal), so a text masked in one is masked in all of them.
        """
        top = code
        parent = self.by_code[top].parent
        while parent is not None and len(self.children[parent]) == 1:
            top, parent = parent, self.by_code[parent].parent
        chain = [top]
        while len(self.children[chain[-1]]) == 1:
            chain.append(self.children[chain[-1]][0])
        return chain
