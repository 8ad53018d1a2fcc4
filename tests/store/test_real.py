"""NAICS 2022 itself, with its split, through both databases."""

from __future__ import annotations

from naics_graph.store.contract import GraphStore
from naics_graph.taxonomy.model import Taxonomy


def test_naics_2022_with_its_split_reads_back_equal(
    store: GraphStore, taxonomy_2022: Taxonomy, taxonomy_2022_roles: Taxonomy
) -> None:
    """Loaded over all entries, so that sealed ones and texts left out have to go."""
    store.load(taxonomy_2022)
    assert store.counts()["IndexEntry"] == 20373
    report = store.load(taxonomy_2022_roles)
    assert report.missing_keys == ()
    assert report.left_out == taxonomy_2022_roles.left_out
    assert store.taxonomy("2022") == taxonomy_2022_roles
    counts = store.counts()
    assert counts["Industry"] == 2125
    assert counts["HAS_CHILD"] == 2105
    assert counts["IndexEntry"] == counts["CLASSIFIED_AS"] == 17360
    graph = store.export_graph("2022")
    assert len(graph.entries) == 6118 + 7200
    again = store.load(taxonomy_2022_roles)
    assert (again.created, again.updated, again.missing) == (0, 0, 0)
