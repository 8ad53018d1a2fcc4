"""Every text that says which code it belongs to: the training queries of one taxonomy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from naics_graph.taxonomy.model import (
    Channel,
    EntrySource,
    Exclusion,
    Taxonomy,
    TaxonomyIndex,
    level_of,
)
from naics_graph.taxonomy.nearness import normalise

TextSource = Literal["index", "phrase", "title", "description", "example", "exclusion"]

ENTRY_SOURCE: Final[Mapping[EntrySource, TextSource]] = {
    EntrySource.CENSUS: "index",
    EntrySource.COMPANION: "phrase",
    EntrySource.COMPANION_DESCRIPTION: "description",
}


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and the code it belongs to, of any level.

    `channel` and `holder` say where the text stands in the database: in that channel of that code.
    The holder of an exclusion clause is the code that excludes it, of all others `code` itself or a
    code joined to it by single children. `entry_key` names the index entry it is, if any;
    `excluded` the code a clause's sentence names: `code` or a code above it.
    """

    text: str
    code: str
    source: TextSource
    channel: Channel
    holder: str
    entry_key: str | None = None
    excluded: str | None = None


def labelled_texts(taxonomy: Taxonomy) -> tuple[LabelledText, ...]:
    """Every training query, validation entries left out.

    A chain of single-child codes names one industry: its texts are labelled with its deepest code.
    Of one text and source the query of a code goes without those of the codes above it, so that a
    text repeated on the way down comes once. A clause is a query when its sentence names one code,
    and that code is, or is joined by single children to, a six-digit one.
    """
    index = TaxonomyIndex(taxonomy)
    deepest = {code: index.twins(code)[-1] for code in index.codes}
    texts = [
        *_own_texts(taxonomy, deepest),
        *_clauses(taxonomy.exclusions, deepest),
    ]
    return (*_entries(taxonomy), *_distinct(texts, index))


def _entries(taxonomy: Taxonomy) -> Iterator[LabelledText]:
    for entry in taxonomy.entries:
        if not entry.evaluated:
            source = ENTRY_SOURCE[entry.source]
            channel: Channel = "description" if source == "description" else "examples"
            yield LabelledText(entry.text, entry.code, source, channel, entry.code, entry.key)


def _own_texts(taxonomy: Taxonomy, deepest: dict[str, str]) -> Iterator[LabelledText]:
    # Children first: see `_distinct`.
    for industry in reversed(taxonomy.industries):
        code = industry.code
        label = deepest[code]
        yield LabelledText(industry.title, label, "title", "title", code)
        if industry.description:
            yield LabelledText(industry.description, label, "description", "description", code)
        for example in industry.examples:
            yield LabelledText(example, label, "example", "examples", code)


def _clauses(exclusions: Iterable[Exclusion], deepest: dict[str, str]) -> Iterator[LabelledText]:
    sentences: dict[tuple[str, str], list[Exclusion]] = defaultdict(list)
    for exclusion in exclusions:
        sentences[exclusion.source, exclusion.text].append(exclusion)
    for named in sentences.values():
        only = named[0]
        label = deepest[only.target]
        if len(named) == 1 and only.clause and level_of(label) == 6:
            yield LabelledText(
                only.clause, label, "exclusion", "excluded", only.source, excluded=only.target
            )


def _distinct(texts: Iterable[LabelledText], index: TaxonomyIndex) -> Iterator[LabelledText]:
    """The first of every text by source and code; expects codes after those below them."""
    seen: set[tuple[TextSource, str, str]] = set()
    for item in texts:
        text = normalise(item.text)
        if (item.source, text, item.code) not in seen:
            seen |= {(item.source, text, code) for code in (item.code, *index.ancestors(item.code))}
            yield item
