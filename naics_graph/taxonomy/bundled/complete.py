"""Is the companion edition complete?

    python -m naics_graph.taxonomy.bundled.complete [VINTAGE ...]

Prints a line for every problem, with file and line where there is one, and exits with 3; or counts
of what there is, and 0.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from naics_graph.errors import DataError
from naics_graph.taxonomy.bundled.companion import BASE, KINDS, Kind, Line, lines_of, read_lines
from naics_graph.taxonomy.bundled.edition import bundled_vintages, read_titles
from naics_graph.taxonomy.model import Taxonomy, TaxonomyIndex, level_of
from naics_graph.taxonomy.nearness import normalise

SENTENCES: Final = range(2, 6)
EXAMPLES: Final = range(4, 9)
PHRASES: Final = 12
"""The least number of phrases of a six-digit code."""


def problems(vintage: str) -> Iterator[str]:
    """What is wrong with, or absent from, the companion texts of a vintage.

    Every six-digit code has one description of 2-5 sentences, 4-8 examples, an exclusion, and
    phrases; every other code with several children a description and an exclusion; one with a
    single child may inherit the description of a code below it. No phrase stands under two codes.

    Raises:
        DataError: a file cannot be read as companion lines.
    """
    index = TaxonomyIndex(Taxonomy(vintage, read_titles(vintage)))
    for line in read_lines(vintage):
        yield from _misplaced(line, index)
    found: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines_of(vintage, index.position.keys()):
        found[line.code, line.kind].append(line)
    for code in index.codes:
        lines = {kind: found[code, kind] for kind in KINDS}
        yield from (f"{code}: {saw}" for saw in _incomplete(code, lines, index))
    yield from _repeated(line for lines in found.values() for line in lines)


def _misplaced(line: Line, index: TaxonomyIndex) -> Iterator[str]:
    if line.code not in index.position:
        yield f"{line.where}: there is no code {line.code}"
    elif line.target and line.target not in index.position:
        yield f"{line.where}: there is no code {line.target}"
    elif line.target == line.code:
        yield f"{line.where}: {line.code} is its own target"
    elif line.kind == "inherits" and line.target not in index.twins(line.code):
        yield f"{line.where}: {line.target} is no single child below {line.code}"
    elif line.kind in ("phrase", "example") and level_of(line.code) != 6:
        yield f"{line.where}: {line.kind} of {line.code}, which has not six digits"


def _incomplete(code: str, lines: Mapping[Kind, list[Line]], index: TaxonomyIndex) -> Iterator[str]:
    described = len(lines["description"]) + len(lines["inherits"])
    if described != 1:
        yield f"{described} descriptions, not one"
    if lines["inherits"]:
        return
    for line in lines["description"]:
        sentences = len(re.findall(r"[.!?](?=\s|$)", line.text))
        if level_of(code) == 6 and sentences not in SENTENCES:
            yield f"the description has {sentences} sentences ({line.where})"
    if not lines["exclusion"] and (level_of(code) == 6 or len(index.children[code]) > 1):
        yield "no exclusion"
    if level_of(code) == 6:
        if len(lines["example"]) not in EXAMPLES:
            yield f"{len(lines['example'])} examples, not {EXAMPLES.start} to {EXAMPLES.stop - 1}"
        if len(lines["phrase"]) < PHRASES:
            yield f"{len(lines['phrase'])} phrases, fewer than {PHRASES}"


def _repeated(lines: Iterable[Line]) -> Iterator[str]:
    first: dict[tuple[str, str], Line] = {}
    for line in lines:
        # A clause may be an exclusion of several codes; two codes may share no other text.
        among = line.code if line.kind == "exclusion" else ""
        if line.kind == "inherits":
            continue
        known = first.setdefault((f"{line.kind} {among}", normalise(line.text)), line)
        if known is not line:
            yield f"{line.where}: the {line.kind} of {line.code} stands in {known.where} already"


def main(arguments: Sequence[str]) -> int:
    """Print the problems, or the counts, of the named vintages (default all)."""
    code = 0
    for vintage in arguments or bundled_vintages():
        try:
            found = list(problems(vintage))
        except DataError as error:
            found = [str(error)]
        if found:
            code = 3
            print("\n".join(found))
            print(f"NAICS {vintage}: {len(found)} problems")
        else:
            codes = {industry.code for industry in read_titles(vintage)}
            counts = Counter(line.kind for line in lines_of(vintage, codes))
            shown = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)
            own = "" if vintage == BASE else f" ({len(read_lines(vintage)):,} lines of its own)"
            print(f"NAICS {vintage}: {len(codes):,} codes, {shown}{own}")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
