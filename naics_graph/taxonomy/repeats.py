"""Texts that repeat an evaluated entry leave a taxonomy, so that nothing learns what judges it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Container, Sequence

from naics_graph.taxonomy.labelled import ENTRY_SOURCE
from naics_graph.taxonomy.model import IndexEntry, Industry, Taxonomy
from naics_graph.taxonomy.nearness import NearIndex
from naics_graph.taxonomy.references import clause_of


def without_repeats(
    taxonomy: Taxonomy, evaluated: NearIndex, spared: Container[str] = ()
) -> Taxonomy:
    """The taxonomy without labelled texts that (nearly) equal evaluated ones.

    They leave descriptions, examples, exclusions and entries, and are counted in `left_out` by
    source. Titles stay: whoever chooses what is evaluated sees to it that no title equals it.

    Args:
        taxonomy: what to read.
        evaluated: texts of the evaluated entries.
        spared: keys of entries that stay, whatever they say.
    """
    dropped = Counter(taxonomy.left_out)
    industries = tuple(_cleared(i, evaluated, dropped) for i in taxonomy.industries)
    kept = {industry.code: frozenset(industry.excluded) for industry in industries}

    def stays(entry: IndexEntry) -> bool:
        if entry.key in spared or entry.text not in evaluated:
            return True
        dropped[ENTRY_SOURCE[entry.source]] += 1
        return False

    return dataclasses.replace(
        taxonomy,
        industries=industries,
        exclusions=tuple(e for e in taxonomy.exclusions if e.text in kept[e.source]),
        entries=tuple(filter(stays, taxonomy.entries)),
        left_out=dict(sorted(dropped.items())),
    )


def _cleared(industry: Industry, evaluated: NearIndex, dropped: Counter[str]) -> Industry:
    def keep(source: str, texts: Sequence[str], repeats: Callable[[str], bool]) -> tuple[str, ...]:
        kept = tuple(text for text in texts if not repeats(text))
        if len(kept) < len(texts):
            dropped[source] += len(texts) - len(kept)
        return kept

    described = (industry.description,) if industry.description else ()
    return dataclasses.replace(
        industry,
        description="".join(keep("description", described, evaluated.__contains__)),
        examples=keep("example", industry.examples, evaluated.__contains__),
        excluded=keep(
            "exclusion",
            industry.excluded,
            lambda sentence: sentence in evaluated or clause_of(sentence) in evaluated,
        ),
    )
