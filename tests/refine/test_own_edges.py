"""What of the graph came from a query is found wherever it stands."""

from __future__ import annotations

from naics_graph.refine.own_edges import own_entries, own_exclusions
from naics_graph.taxonomy.labelled import LabelledText, labelled_texts
from naics_graph.taxonomy.model import Exclusion, Industry, Taxonomy


def asked(*texts: str) -> list[LabelledText]:
    return [LabelledText(text, "111110", "index", "examples", "111110") for text in texts]


def test_every_entry_that_says_the_text_is_the_querys_own() -> None:
    entries = ["Soybean farming", "wheat", "soybean  FARMING", "oats"]
    found = own_entries(asked("soybean farming", "oats", "barley"), entries)
    assert found.tolist() == [[0, 2], [3, -1], [-1, -1]]
    assert own_entries(asked("barley"), entries).shape == (1, 0)
    assert own_entries([], entries).shape == (0, 0)


def test_a_clauses_edge_goes_to_the_code_its_sentence_names() -> None:
    """The label is the code below it where that has a single child."""
    industries = tuple(
        Industry(code, code, parent)
        for code, parent in (
            ("11", None),
            ("111", "11"),
            ("1111", "111"),
            ("11111", "1111"),
            ("111110", "11111"),
            ("112", "11"),
        )
    )
    sentence = "Growing beans--are classified in Industry 11111"
    exclusion = Exclusion("112", "11111", sentence, "Growing beans")
    (clause,) = (
        text
        for text in labelled_texts(Taxonomy("2022", industries, (exclusion,)))
        if text.source == "exclusion"
    )
    position = {industry.code: i for i, industry in enumerate(industries)}
    assert clause.code == "111110"
    assert own_exclusions([clause, *asked("oats")], position).tolist() == [[5, 3], [-1, -1]]
