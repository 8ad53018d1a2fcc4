"""Which texts are training queries, of which code, and where they stand."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from naics_graph.taxonomy.labelled import LabelledText, labelled_texts
from naics_graph.taxonomy.model import (
    EntrySource,
    Exclusion,
    IndexEntry,
    Industry,
    Role,
    Taxonomy,
    TaxonomyIndex,
)
from naics_graph.taxonomy.nearness import normalise

SENTENCE = "Making rye feed--are classified in Industry 31111, Feed."


def taxonomy(**changes: object) -> Taxonomy:
    """One chain 11…111110, and a sector whose industry 31111 has two children."""
    base = Taxonomy(
        "2031",
        (
            Industry("11", "Farms", None, description="Farms grow things."),
            Industry("111", "Crops", "11"),
            Industry("1111", "Grain", "111"),
            Industry("11111", "Rye", "1111", described_by="111110", excluded=(SENTENCE,)),
            Industry(
                "111110",
                "Rye ",
                "11111",
                description="Grows rye.",
                examples=("Rye farming",),
                excluded=(SENTENCE,),
            ),
            Industry("31-33", "Factories", None),
            Industry("311", "Food", "31-33"),
            Industry("3111", "Feed", "311"),
            Industry("31111", "Feed", "3111", examples=("Bird feed", "Cat feed")),
            Industry("311111", "Dog Feed", "31111", excluded=("A", "B")),
            Industry("311119", "Other Feed", "31111", examples=("Bird-Feed",)),
        ),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def said(item: LabelledText) -> tuple[str, str, str, str, str]:
    return item.source, item.text, item.code, item.channel, item.holder


def test_own_texts_belong_to_the_deepest_code_of_their_chain() -> None:
    assert sorted(map(said, labelled_texts(taxonomy()))) == [
        ("description", "Farms grow things.", "111110", "description", "11"),
        ("description", "Grows rye.", "111110", "description", "111110"),
        ("example", "Bird-Feed", "311119", "examples", "311119"),
        ("example", "Cat feed", "31111", "examples", "31111"),
        ("example", "Rye farming", "111110", "examples", "111110"),
        ("title", "Crops", "111110", "title", "111"),
        ("title", "Dog Feed", "311111", "title", "311111"),
        ("title", "Factories", "31111", "title", "31-33"),
        ("title", "Farms", "111110", "title", "11"),
        ("title", "Feed", "31111", "title", "31111"),
        ("title", "Food", "31111", "title", "311"),
        ("title", "Grain", "111110", "title", "1111"),
        ("title", "Other Feed", "311119", "title", "311119"),
        ("title", "Rye ", "111110", "title", "111110"),
    ]


def test_entries_but_those_for_evaluation() -> None:
    entries = tuple(
        IndexEntry(f"2031:{i}", f"text {i}", "311111", source, role)
        for i, (source, role) in enumerate(
            [
                (EntrySource.CENSUS, None),
                (EntrySource.CENSUS, Role.TRAINING),
                (EntrySource.CENSUS, Role.EXAMPLES),
                (EntrySource.CENSUS, Role.VALIDATION),
                (EntrySource.COMPANION, None),
            ]
        )
    )
    found = [item for item in labelled_texts(taxonomy(entries=entries)) if item.entry_key]
    assert [(item.entry_key, item.source) for item in found] == [
        ("2031:0", "index"),
        ("2031:1", "index"),
        ("2031:2", "index"),
        ("2031:4", "phrase"),
    ]
    assert {(item.code, item.channel, item.holder) for item in found} == {
        ("311111", "examples", "311111")
    }


@pytest.mark.parametrize(
    ("targets", "clause", "label"),
    [
        (["311119"], "Doing it", "311119"),
        (["11111"], "Doing it", "111110"),
        (["1111"], "Doing it", "111110"),
        (["31111"], "Doing it", None),
        (["31-33"], "Doing it", None),
        (["311119", "111110"], "Doing it", None),
        (["311119"], "", None),
    ],
)
def test_clauses_that_lead_to_one_six_digit_code(
    targets: list[str], clause: str, label: str | None
) -> None:
    exclusions = tuple(Exclusion("311111", target, "A", clause) for target in targets)
    found = [i for i in labelled_texts(taxonomy(exclusions=exclusions)) if i.source == "exclusion"]
    expected = [] if label is None else [("exclusion", clause, label, "excluded", "311111")]
    assert [said(item) for item in found] == expected


def test_a_clause_of_several_holders_is_one_query() -> None:
    exclusions = (
        Exclusion("311111", "11111", "A", "Growing rye"),
        Exclusion("311111", "111110", "B", "growing  Rye"),
        Exclusion("31111", "311119", "C", "Growing rye"),
    )
    found = labelled_texts(taxonomy(exclusions=exclusions))
    clauses = [(item.text, item.code) for item in found if item.source == "exclusion"]
    assert clauses == [("Growing rye", "111110"), ("Growing rye", "311119")]


def test_the_queries_of_2022(taxonomy_2022: Taxonomy) -> None:
    queries = labelled_texts(taxonomy_2022)
    assert Counter(item.source for item in queries) == {
        "index": 20373,
        "title": 1432,
        "description": 1449,
        "example": 2208,
        "exclusion": 2614,
    }
    index = TaxonomyIndex(taxonomy_2022)
    for item in queries:
        assert item.text.strip()
        assert len(index.children[item.code]) != 1
        if item.source != "exclusion":
            assert item.holder in index.twins(item.code)
        industry = index.by_code[item.holder]
        if item.source == "exclusion":
            assert any(item.text[1:] in sentence for sentence in industry.excluded)
        elif item.source == "example":
            assert item.text in industry.examples
    spoken = [(item.source, normalise(item.text), item.code) for item in queries]
    assert len(spoken) == len(set(spoken))
    coded = {
        (source, text, above) for source, text, code in spoken for above in index.ancestors(code)
    }
    assert not coded.intersection(spoken)


def test_every_code_is_named_by_a_query(taxonomy_2022: Taxonomy) -> None:
    index = TaxonomyIndex(taxonomy_2022)
    titles = [item.code for item in labelled_texts(taxonomy_2022) if item.source == "title"]
    named = {above for code in titles for above in index.path(code)}
    assert named == set(index.codes)


def test_no_validation_entry_is_a_query(taxonomy_2022_roles: Taxonomy) -> None:
    queries = labelled_texts(taxonomy_2022_roles)
    evaluated = {e.key for e in taxonomy_2022_roles.entries if e.evaluated}
    assert len(evaluated) == 4042
    assert not evaluated.intersection(item.entry_key for item in queries if item.entry_key)
    assert sum(item.source == "index" for item in queries) == 6118 + 7200
