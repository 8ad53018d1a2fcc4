"""Why a code is among the answers: evidence that stands in the database, never a validation entry.

For a text, the code's own labelled text (title, illustrative example, index entry) that shares most
letter triples with it; for a code, the place where the two meet in the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from naics_graph.search.results import PathStep
from naics_graph.store.contract import GraphStore
from naics_graph.taxonomy.model import key_of
from naics_graph.taxonomy.nearness import jaccard, normalise, trigrams

RESEMBLES: Final = 0.2
"""Overlap below which a text is no evidence: two unrelated short phrases reach about 0.1."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The own text of a code that is closest to a query; overlap: Jaccard of letter triples."""

    kind: str
    text: str
    overlap: float

    def __str__(self) -> str:
        if self.overlap < RESEMBLES:
            return "nearest by meaning: none of its own texts resembles the words of the query"
        return f"{self.kind} “{self.text}” resembles the query (overlap {self.overlap:.2f})"


def evidence_for(
    store: GraphStore, vintage: str, codes: Sequence[str], query: str
) -> dict[str, Evidence]:
    """The closest own text of every code; ties go to the title, then the examples, then by text."""
    keys = [key_of(vintage, code) for code in codes]
    entries: dict[str, list[str]] = {code: [] for code in codes}
    for row in store.run("search_entries", keys=keys):
        entries[row["code"]].append(row["text"])
    return {
        row["code"]: closest(
            query,
            [
                ("title", [row["title"]]),
                ("example", sorted(row["examples"] or [])),
                ("index entry", entries[row["code"]]),
            ],
        )
        for row in store.run("search_evidence", keys=keys)
    }


def closest(query: str, texts: Sequence[tuple[str, Sequence[str]]]) -> Evidence:
    """The text with the highest overlap, the first of equals; `texts` are (kind, texts of it)."""
    wanted = trigrams(normalise(query))
    candidates = [
        Evidence(kind, text, jaccard(wanted, trigrams(normalise(text))))
        for kind, of_kind in texts
        for text in of_kind
    ]
    return max(candidates, key=lambda evidence: evidence.overlap)


def kinship(answer: Sequence[PathStep], origin: Sequence[PathStep]) -> str:
    """Where an answer meets a code in the tree, from their paths, and the edges between them."""
    shared = [a for a, b in zip(answer, origin, strict=False) if a.code == b.code]
    edges = len(answer) + len(origin) - 2 * len(shared)
    steps = f"{edges} edge{'' if edges == 1 else 's'} apart"
    if not shared:
        return f"of another sector, {steps} in the tree"
    meet = shared[-1]
    if meet.code == answer[-1].code:
        return f"above it in the tree, {steps}"
    if meet.code == origin[-1].code:
        return f"below it in the tree, {steps}"
    return f"both under {meet.code} {meet.title}, {steps} in the tree"
