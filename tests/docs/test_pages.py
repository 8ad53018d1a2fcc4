"""Documentation that fails when it goes stale."""

from __future__ import annotations

import pytest

from docs import generate_queries, generate_reference
from naics_graph.search.catalogue import DIALECTS, hybrid_queries

REMEDY = "run `python -m docs.generate_queries && python -m docs.generate_reference`"


def test_the_query_page_is_what_the_files_say() -> None:
    page = generate_queries.PAGE.read_text("utf-8")
    assert page == generate_queries.render(generate_queries.samples_in(page)), REMEDY


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_query_page_holds_the_text_of_every_file(dialect: str) -> None:
    page = generate_queries.PAGE.read_text("utf-8")
    for query in hybrid_queries(dialect).values():
        assert f"```cypher\n{query.text}```" in page, query.name


def test_sample_results_survive_rendering() -> None:
    samples = {name: f"| {name} |\n|---|\n" for name in hybrid_queries("neo4j")}
    assert generate_queries.samples_in(generate_queries.render(samples)) == samples


def test_a_table_cuts_long_cells_and_escapes_bars() -> None:
    text = generate_queries.table(
        [{"a": "x | y\nz", "b": 0.12345, "c": ["1", "2"], "d": "w" * 300, "e": None}]
    )
    row = text.splitlines()[2]
    assert row.startswith("| x \\| y z | 0.123 | 1 › 2 | www")
    assert row.endswith("… | - |")
    assert len(row) < 160


def test_the_command_line_page_is_what_the_commands_say() -> None:
    assert generate_reference.CLI_PAGE.read_text("utf-8") == generate_reference.render_cli(), REMEDY


def test_the_library_page_is_what_the_docstrings_say() -> None:
    assert generate_reference.API_PAGE.read_text("utf-8") == generate_reference.render_api(), REMEDY
