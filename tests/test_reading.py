"""A part held out for judging: nothing that is learned from (nearly) equals a text of it."""

from __future__ import annotations

import dataclasses

import numpy as np

from naics_graph.encode.channels import ChannelTexts
from naics_graph.reading import with_fewer_entries, with_held_out
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import EntrySource, Exclusion, IndexEntry, Industry, Role, Taxonomy
from naics_graph.taxonomy.nearness import NearIndex, nearly_equal
from naics_graph.taxonomy.sources import read_taxonomy

CODES = ("11", "111", "1111", "11111", "111110")
SHARE, SEED = 0.2, 0


def plain(role: Role | None = None) -> Taxonomy:
    """One chain of codes and forty entries that have nothing in common."""
    letters = np.random.default_rng(5).choice(list("abcdefghijklmnopqrstuvwxyz"), (40, 5, 8))
    texts = [" ".join("".join(word) for word in words) for words in letters]
    return Taxonomy(
        vintage="2022",
        industries=tuple(
            Industry(code, f"Title of {code}", parent)
            for code, parent in zip(CODES, (None, *CODES), strict=False)
        ),
        entries=tuple(entry(text, EntrySource.CENSUS, role) for text in texts),
    )


def entry(text: str, source: EntrySource, role: Role | None = None) -> IndexEntry:
    return IndexEntry(f"2022:{source}:{text}", text, "111110", source, role)


def judges(taxonomy: Taxonomy) -> list[str]:
    return [e.text for e in taxonomy.entries if e.evaluated]


def learned(taxonomy: Taxonomy) -> list[str]:
    """Every text a training reads."""
    return [*(t.text for t in labelled_texts(taxonomy)), *ChannelTexts.of(taxonomy).texts]


def planted(taxonomy: Taxonomy, equal: str, near: str) -> Taxonomy:
    """The taxonomy with two texts in every place where a text can stand but the titles."""
    sentences = [f"{text}--are classified in Industry 111110, Title." for text in (equal, near)]
    first, second, third, *rest = taxonomy.industries
    other = "Something else--are classified in Industry 111110, Title."
    return dataclasses.replace(
        taxonomy,
        industries=(
            dataclasses.replace(
                first,
                description=equal,
                examples=(near, "another example"),
                excluded=(sentences[0], other),
            ),
            dataclasses.replace(second, description=near, examples=(equal,)),
            dataclasses.replace(third, excluded=(sentences[1], near)),
            *rest,
        ),
        exclusions=(
            Exclusion(first.code, "111110", sentences[0], equal),
            Exclusion(third.code, "111110", sentences[1], near),
        ),
        entries=(
            *taxonomy.entries,
            *(
                dataclasses.replace(entry(text, source), key=f"2022:planted:{source}:{text}")
                for source in EntrySource
                for text in (equal.upper(), near)
            ),
        ),
    )


def test_no_text_that_is_learned_from_repeats_one_held_out() -> None:
    alone = with_held_out(plain(), SHARE, SEED)
    assert alone.left_out == {}
    equal = judges(alone)[0]
    near = f"{equal}s"
    assert nearly_equal(equal, near)
    taxonomy = planted(plain(), equal, near)
    assert {equal, near} < set(learned(taxonomy))
    held = with_held_out(taxonomy, SHARE, SEED)
    assert judges(held) == judges(alone), "no planted one is drawn: the next assertion counts all"
    assert held.left_out == {
        "description": 4, "example": 2, "exclusion": 3, "index": 2, "phrase": 2,
    }  # fmt: skip
    assert not [text for text in learned(held) if nearly_equal(text, equal)]
    assert set(learned(held)) == {
        *learned(alone),
        "another example",
        "Something else--are classified in Industry 111110, Title.",
    }


def test_entries_with_roles_but_no_judges_are_filtered_too() -> None:
    roled = plain(Role.TRAINING)
    equal = judges(with_held_out(roled, SHARE, SEED))[0]
    held = with_held_out(planted(roled, equal, f"{equal}s"), SHARE, SEED)
    assert not [text for text in learned(held) if nearly_equal(text, equal)]


def test_an_entry_that_repeats_a_title_is_not_held_out() -> None:
    taxonomy = plain()
    drawn = judges(with_held_out(taxonomy, SHARE, SEED))
    *above, leaf = taxonomy.industries
    titled = dataclasses.replace(leaf, title=f"{drawn[0]}s")
    held = with_held_out(dataclasses.replace(taxonomy, industries=(*above, titled)), SHARE, SEED)
    assert judges(held) == drawn[1:]
    assert {titled.title, drawn[0]} < set(learned(held))


def test_the_bundled_edition_as_the_quickstart_reads_it_loses_few_texts() -> None:
    read = with_fewer_entries(read_taxonomy(None, "2022", None), 16)
    held = with_held_out(read, 0.05, 0)
    near = NearIndex(judges(held))
    assert 700 < len(near) < 900
    assert not [text for text in learned(held) if text in near]
    assert 0 < sum(held.left_out.values()) < 20
