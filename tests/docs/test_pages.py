"""Documentation that fails when it goes stale."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pytest

from docs import generate_queries, generate_reference, settings_page
from naics_graph.config import Section, load_config, sections
from naics_graph.pipeline import TrainConfig
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


@dataclass(frozen=True, kw_only=True)
class Base:
    """Of both. size: how many; name: of what size: say it."""

    size: int | None = None
    name: Literal["b", "c"] = "c"


@dataclass(frozen=True, kw_only=True)
class Derived(Base):
    """low, high: bounds; size: as before. Both count."""

    low: float = 1e-5
    high: float = 1.0
    size: int | None = 3
    names: tuple[str, ...] = ("true", "b c")
    is_on: bool = True


def test_the_settings_page_is_what_the_configuration_says() -> None:
    assert settings_page.PAGE.read_text("utf-8") == settings_page.render(), REMEDY


def test_the_settings_page_has_every_key_with_the_default_that_set_takes() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| `(.+?)` \|", settings_page.render(), re.MULTILINE)
    assert sorted(key for key, _ in rows) == sorted(leaves(asdict(TrainConfig())))
    defaults = [f"{key}={default}" for key, default in rows]
    assert load_config(TrainConfig, None, defaults) == TrainConfig()


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_the_settings_page_explains_every_key() -> None:
    rows = re.findall(r"^\| `([\w.]+)` .* \|  \|$", settings_page.render(), re.MULTILINE)
    assert rows == []


@pytest.mark.parametrize("section", [*sections(TrainConfig)], ids=lambda s: s.prefix or "all")
def test_the_settings_page_leaves_no_word_of_a_docstring_out(section: Section) -> None:
    about, meanings = settings_page.explained(section.cls)
    said = set(" ".join([about, *meanings.values(), *meanings]).split())
    words = {word.rstrip(";:.,") for word in (section.cls.__doc__ or "").split()}
    assert words <= {word.rstrip(";:.,") for word in said}


def test_a_docstring_is_split_where_a_field_is_explained() -> None:
    assert settings_page.explained(Base) == (
        "Of both.",
        {"size": "how many.", "name": "of what size: say it."},
    )
    about, meanings = settings_page.explained(Derived)
    assert about == ""
    assert meanings == {
        "low": "bounds.",
        "high": "bounds.",
        "size": "as before. Both count.",
        "name": "of what size: say it.",
    }


def test_defaults_and_types_are_written_as_set_takes_them() -> None:
    written = {
        one.name: (settings_page.default(one), settings_page.kind(section.hints[one.name]))
        for section in sections(Derived)
        for one in section.fields
    }
    assert written == {
        "size": ("3", "int or `null`"),
        "name": ("c", "`b`, `c`"),
        "low": ("1.0e-05", "float"),
        "high": ("1.0", "float"),
        "names": ("['true', b c]", "list of text"),
        "is_on": ("true", "`true`, `false`"),
    }
