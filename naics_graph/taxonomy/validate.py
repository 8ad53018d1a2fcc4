"""What every taxonomy holds, whichever source it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from naics_graph.errors import DataError
from naics_graph.taxonomy.model import Taxonomy, level_of

CODE_FORM = re.compile(r"\d{2}-\d{2}|\d{2,6}")
"""A code of NAICS: two to six digits, or a range of sectors such as 31-33."""


def sectors_by_prefix(codes: Iterable[str]) -> dict[str, str]:
    """Two digits → sector, from the sectors among `codes`: "32" → "31-33"."""
    sectors: dict[str, str] = {}
    for code in codes:
        if "-" in code:
            first, last = code.split("-")
            sectors |= {f"{prefix:02d}": code for prefix in range(int(first), int(last) + 1)}
        elif len(code) == 2:
            sectors[code] = code
    return sectors


def parent_of(code: str, sectors: dict[str, str]) -> str | None:
    """The code one level up, None for a sector; "" when a subsector has no sector."""
    if level_of(code) == 2:
        return None
    return sectors.get(code[:2], "") if len(code) == 3 else code[:-1]


def validate(taxonomy: Taxonomy, where: str) -> Taxonomy:
    """Return the taxonomy if it is one vintage whose parts agree.

    Codes have their form, are unique, and follow their parent, which is the one their digits name;
    keys of entries are unique and theirs are six-digit codes; relations lead to existing codes; no
    text is blank.

    Args:
        taxonomy: what a source read.
        where: the source, for the error.

    Raises:
        DataError: the first disagreement.
    """
    for check in (_tree, _texts, _entries, _exclusions):
        problem = next(check(taxonomy), None)
        if problem is not None:
            raise DataError(
                problem,
                where=f"NAICS {taxonomy.vintage}, {where}",
                do="get the files of this vintage again, all of one edition",
            )
    return taxonomy


def _tree(taxonomy: Taxonomy) -> Iterator[str]:
    codes = [industry.code for industry in taxonomy.industries]
    sectors = sectors_by_prefix(code for code in codes if CODE_FORM.fullmatch(code))
    seen: set[str] = set()
    if not codes:
        yield "there are no codes"
    for industry in taxonomy.industries:
        code, parent = industry.code, industry.parent
        if not CODE_FORM.fullmatch(code):
            yield f"{code!r} is no code: neither two to six digits nor a range of sectors"
        if code in seen:
            yield f"the code {code} occurs twice"
        if parent != parent_of(code, sectors):
            yield f"the code {code} stands under {parent}, its digits say otherwise"
        if parent is not None and parent not in seen:
            yield f"the code {code} comes without, or before, its parent {parent}"
        seen.add(code)


def _texts(taxonomy: Taxonomy) -> Iterator[str]:
    codes = {industry.code for industry in taxonomy.industries}
    for industry in taxonomy.industries:
        code = industry.code
        if not industry.title.strip():
            yield f"the code {code} has no title"
        if not all(text.strip() for text in (*industry.examples, *industry.excluded)):
            yield f"the code {code} has a blank example or exclusion"
        if industry.description != industry.description.strip():
            yield f"the description of {code} starts or ends with blanks"
        if industry.described_by is not None:
            if industry.described_by not in codes or industry.described_by == code:
                yield f"the description of {code} points to {industry.described_by}, no other code"
            if industry.description:
                yield f"the code {code} has a description and points to another"


def _entries(taxonomy: Taxonomy) -> Iterator[str]:
    codes = {industry.code for industry in taxonomy.industries}
    keys: set[str] = set()
    for entry in taxonomy.entries:
        if entry.key in keys or not entry.key.startswith(f"{taxonomy.vintage}:"):
            yield f"the entry key {entry.key!r} occurs twice or is not of this vintage"
        if entry.code not in codes or level_of(entry.code) != 6:
            yield f"the entry {entry.key!r} is classified as {entry.code}, no six-digit code"
        if not entry.text.strip():
            yield f"the entry {entry.key!r} is blank"
        keys.add(entry.key)


def _exclusions(taxonomy: Taxonomy) -> Iterator[str]:
    excluded = {industry.code: frozenset(industry.excluded) for industry in taxonomy.industries}
    for exclusion in taxonomy.exclusions:
        for code in (exclusion.source, exclusion.target):
            if code not in excluded:
                yield f"an exclusion names the code {code}, which does not exist"
        if exclusion.source == exclusion.target:
            yield f"the code {exclusion.source} excludes itself"
        if exclusion.text not in excluded.get(exclusion.source, ()):
            yield f"an exclusion of {exclusion.source} is no sentence of its texts"
