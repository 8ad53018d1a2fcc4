"""What the companion texts share with the official workbooks, in counts.

    python -m naics_graph.taxonomy.bundled.overlap DIR [--vintage 2022] [--roles FILE]

Descriptions and exclusions may share no run of eight words with any text of the workbooks; a phrase
may equal an index entry where any two people would write the same words, which is below 5 % of
them. With a split: how many texts `load` leaves out because they (nearly) equal an evaluated entry.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naics_graph.taxonomy.bundled.companion import Line, lines_of
from naics_graph.taxonomy.bundled.edition import NEWEST
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.nearness import normalise
from naics_graph.taxonomy.sources import read_taxonomy

RUN: Final = 8
"""Words in a row that two texts written apart do not share."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """copied: descriptions and exclusions that share a run with the workbooks. equal: phrases that
    equal an index entry, of `phrases`.
    """

    copied: tuple[Line, ...]
    equal: int
    phrases: int

    @property
    def equal_share(self) -> float:
        """Share of the phrases that equal an index entry, 0-1."""
        return self.equal / self.phrases if self.phrases else 0.0


def overlap(official: Taxonomy) -> Overlap:
    """Compare the companion texts of a vintage with its workbooks, read without a split."""
    lines = lines_of(official.vintage, {industry.code for industry in official.industries})
    known = {run for text in _official_texts(official) for run in runs(text)}
    entries = {normalise(entry.text) for entry in official.entries}
    phrases = [line.text for line in lines if line.kind == "phrase"]
    prose = (line for line in lines if line.kind in ("description", "exclusion"))
    return Overlap(
        copied=tuple(line for line in prose if not known.isdisjoint(runs(line.text))),
        equal=sum(normalise(text) in entries for text in phrases),
        phrases=len(phrases),
    )


def runs(text: str) -> Iterator[tuple[str, ...]]:
    """Every run of RUN words of a normalised text."""
    words = normalise(text).split()
    return (tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1))


def _official_texts(official: Taxonomy) -> Iterable[str]:
    for industry in official.industries:
        yield from (industry.description, *industry.examples, *industry.excluded)
    for entry in official.entries:
        yield entry.text


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts; 3 when a description or exclusion is copied."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="folder of the workbooks")
    parser.add_argument("--vintage", default=NEWEST)
    parser.add_argument("--roles", type=Path, help="split of the index entries")
    options = parser.parse_args(arguments)
    found = overlap(read_taxonomy(options.source, options.vintage, None, "census"))
    for line in found.copied:
        print(f"{line.where}: shares {RUN} words in a row with the workbooks")
    print(f"descriptions and exclusions that share {RUN} words in a row: {len(found.copied)}")
    print(
        f"phrases equal to an index entry: {found.equal:,} of {found.phrases:,} "
        f"({found.equal_share:.2%})"
    )
    if options.roles is not None:
        split = read_taxonomy(options.source, options.vintage, options.roles, "companion")
        left_out = ", ".join(f"{n} {name}" for name, n in split.left_out.items())
        print(f"left out, (nearly) equal to an evaluated entry: {left_out or 'none'}")
    return 3 if found.copied else 0


if __name__ == "__main__":
    raise SystemExit(main())
