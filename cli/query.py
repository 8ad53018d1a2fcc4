"""`naics-graph query`: run one of the shipped hybrid queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from naics_graph.errors import UsageError

from .common import (
    DatabaseOption,
    JsonOption,
    QuietOption,
    VintageOption,
    note,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from naics_graph.store.contract import Row


def query(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A query as --list names it.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter; repeat for more."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the queries and end.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the Cypher instead of running it.")
    ] = False,
    vintage: VintageOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run one of the shipped Cypher queries, read-only.

    Parameters that are not given take the sample values of the query's header, which are said on
    stderr; the vintage is the newest loaded.
    """
    from naics_graph import settings
    from naics_graph.handle import Handle
    from naics_graph.search.catalogue import bind, hybrid_queries, hybrid_query, run_hybrid

    location = settings.database(database)
    dialect = "neo4j" if settings.is_uri(location) else "ladybug"
    if list_all:
        _print_list(dialect, as_json=as_json)
        return
    if name is None:
        raise UsageError(
            "no query is named",
            where="naics-graph query",
            do=f"name one of: {', '.join(hybrid_queries(dialect))}",
        )
    found = hybrid_query(dialect, name)
    if show:
        typer.echo(found.text, nl=False)
        return
    with Handle(location) as handle:
        newest = {"vintage": handle.searcher.vintage(vintage)}
        values = bind(found, param or [], newest)
        rows = run_hybrid(handle.store, name, values)
    if as_json:
        print_json({"query": name, "parameters": values, "rows": rows})
        return
    note(", ".join(f"{key} = {value}" for key, value in values.items()), quiet=quiet)
    _print_rows(rows)


def _print_list(dialect: str, *, as_json: bool) -> None:
    from naics_graph.search.catalogue import hybrid_queries

    found = hybrid_queries(dialect).values()
    if as_json:
        listed = [
            {"name": one.name, "purpose": one.purpose, "parameters": dict(one.parameters)}
            for one in found
        ]
        print_json({"dialect": dialect, "queries": listed})
        return
    rows = [[one.name, one.summary, ", ".join(one.parameters)] for one in found]
    print_table(["query", "purpose", "parameters"], rows)


def _print_rows(rows: Sequence[Row]) -> None:
    if not rows:
        note("No rows.")
        return
    columns = list(rows[0])
    print_table(columns, [[_flat(row[column]) for column in columns] for row in rows])


def _flat(value: object) -> object:
    if isinstance(value, list):
        return "; ".join(str(_flat(item)) for item in value)
    return value
