"""`naics-graph search`: the codes nearest a text."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from naics_graph.errors import UsageError

from .common import DatabaseOption, JsonOption, VintageOption, print_json, print_table

if TYPE_CHECKING:
    from naics_graph.search.results import Hit

WithinOption = Annotated[
    str | None,
    typer.Option("--within", metavar="CODE", help="Only codes below this one, e.g. 44-45."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many answers.")]
ExactOption = Annotated[
    bool, typer.Option("--exact", help="Scan every code instead of asking the vector index.")
]
ALL_LEVELS = "all"


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What a business does; - is stdin.")],
    level: Annotated[
        str, typer.Option("--level", metavar="2-6|all", help="Digits of the answers.")
    ] = "6",
    within: WithinOption = None,
    limit: LimitOption = 10,
    vintage: VintageOption = None,
    exact: ExactOption = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the codes nearest a text, best first."""
    from naics_graph import connect

    if text == "-":
        text = _from_stdin()
    wanted = parse_level(level)
    with connect(database) as handle:
        found = handle.search(
            text, level=wanted, within=within, limit=limit, vintage=vintage, exact=exact
        )
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print_hits(found.results)


def parse_level(level: str) -> int | None:
    """The digits of the answers; None for all.

    Raises:
        UsageError: neither a number nor `all`. The range is checked where it is used.
    """
    if level == ALL_LEVELS:
        return None
    if not level.isdecimal():
        raise UsageError(f"{level!r} is no level", where="--level", do="give 2, 3, 4, 5, 6 or all")
    return int(level)


def print_hits(hits: Sequence[Hit]) -> None:
    """Print answers as a table, the path without the answer itself."""
    columns = ["rank", "code", "title", "score", "distance", "path", "why"]
    rows = [
        [
            hit.rank,
            hit.code,
            hit.title,
            hit.score,
            hit.distance,
            " › ".join(step.code for step in hit.path[:-1]),
            hit.why,
        ]
        for hit in hits
    ]
    print_table(columns, rows)


def _from_stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the text is not UTF-8: {error.reason} at byte {error.start}",
            where="stdin",
            do="convert it to UTF-8 first",
        ) from error
