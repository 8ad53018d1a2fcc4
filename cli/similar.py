"""`naics-graph similar`: the codes nearest a code."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from .common import DatabaseOption, JsonOption, VintageOption, print_json
from .search import ExactOption, LimitOption, WithinOption, parse_level, print_hits


def similar(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A code such as 541511 or 44-45.")],
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            metavar="2-6|all",
            help="Digits of the answers. Default: those of CODE. With all, the ancestors of CODE "
            "and the codes it shares its text with answer too.",
            show_default=False,
        ),
    ] = None,
    within: WithinOption = None,
    limit: LimitOption = 10,
    vintage: VintageOption = None,
    exact: ExactOption = False,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the codes nearest a code, best first, the code itself left out."""
    from naics_graph import connect

    wanted: int | Literal["same"] | None = "same" if level is None else parse_level(level)
    with connect(database) as handle:
        found = handle.similar(
            code, level=wanted, within=within, limit=limit, vintage=vintage, exact=exact
        )
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        print_hits(found.results)
