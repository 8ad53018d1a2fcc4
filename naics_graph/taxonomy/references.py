"""Cross-references: sentences that send an activity elsewhere, resolved to codes.

"Growing soybeans--are classified in Industry 111110, Soybean Farming; and" becomes a sentence of
its own, the activity ("Growing soybeans") and the codes it names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from naics_graph.taxonomy.cleaning import one_line
from naics_graph.taxonomy.model import Exclusion

_CODE: Final = r"(?:\d{2}-\d{2}|\d{2,6})(?!\d|-\d)"
_NAMED: Final = re.compile(
    r"\b(?:Sectors?|Subsectors?|Industry Groups?|Industry|Industries)\s+"
    rf"({_CODE}(?:(?:,? (?:and|or) |, ){_CODE})*)"
)
_EACH_CODE: Final = re.compile(_CODE)
_LIST_END: Final = re.compile(r"[\s;,.]*(?:;\s*(?:and|or))?[\s;,.]*$")
# "--are lclassified in" stands in the workbook of 2022.
_VERB: Final = re.compile(r"\s*(?:--|,)?\s*\b(?:are|is)\s+(?:\w+\s+)?l?classified\b")
_ENGAGED: Final = re.compile(
    r"^Establishments?,? (?:that are )?(?:primarily |exclusively )?engaged in (?=\w)"
)


def clean_sentence(cell: str) -> str:
    """A cross-reference as one sentence with a full stop, without the list's "; and"."""
    return _LIST_END.sub("", one_line(cell)) + "."


def named_codes(sentence: str) -> list[str]:
    """The codes a sentence names after Sector, Subsector, Industry Group or Industry, each once."""
    found = [code for named in _NAMED.findall(sentence) for code in _EACH_CODE.findall(named)]
    return list(dict.fromkeys(found))


def clause_of(sentence: str) -> str:
    """The activity alone, or "" when the sentence does not say what is classified elsewhere."""
    verb = _VERB.search(sentence)
    if verb is None:
        return ""
    activity = _ENGAGED.sub("", sentence[: verb.start()]).strip(" ,;:-")
    return activity[:1].upper() + activity[1:]


def resolve(source: str, sentence: str, codes: Collection[str]) -> list[Exclusion]:
    """The exclusions a sentence of `source` states: one for each existing code it names.

    A code that holds `source` itself ("are classified elsewhere in Subsector 321") is no target.
    """
    return [
        Exclusion(source, target, sentence, clause_of(sentence))
        for target in named_codes(sentence)
        if target in codes and not _holds(target, source)
    ]


def _holds(code: str, other: str) -> bool:
    """Whether `code` is `other` or above it, by their digits."""
    if "-" in code:
        first, last = code.split("-")
        return first <= other[:2] <= last
    return other.startswith(code)
