"""`naics-graph sets`: the embedding sets of a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .common import DatabaseOption, JsonOption, QuietOption, note, print_json, print_table

if TYPE_CHECKING:
    from naics_graph.store.contract import EmbeddingSetInfo

SetId = Annotated[str, typer.Argument(metavar="ID", help="As `naics-graph sets list` names it.")]

app = typer.Typer(help="List, activate and delete embedding sets.", no_args_is_help=True)


@app.command("list")
def list_sets(database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """List the embedding sets, newest first."""
    from naics_graph import connect

    with connect(database) as handle:
        location, found = handle.store.location, handle.store.embedding_sets()
    if as_json:
        sets = [dataclasses.asdict(one) for one in found]
        print_json({"database": location, "embedding_sets": sets})
    elif found:
        print_sets(found)
    else:
        note("No embedding sets: `naics-graph train` makes one.")


@app.command()
def activate(
    set_id: SetId,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let the searches of a vintage answer from this set."""
    from naics_graph import connect

    with connect(database) as handle:
        handle.activate_set(set_id)
    _done("activated", set_id, as_json=as_json, quiet=quiet)


@app.command()
def delete(
    set_id: SetId,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Delete a set that is not active. Its run folder stays."""
    from naics_graph import connect

    with connect(database) as handle:
        handle.delete_set(set_id)
    _done("deleted", set_id, as_json=as_json, quiet=quiet)


def print_sets(sets: Sequence[EmbeddingSetInfo]) -> None:
    """Print sets as a table, one column per metric that any of them has."""
    metrics = list(dict.fromkeys(name for one in sets for name in one.metrics))
    rows = [
        [
            one.id,
            one.status,
            one.vintage,
            one.dims,
            one.created,
            *(one.metrics.get(name) for name in metrics),
        ]
        for one in sets
    ]
    print_table(["embedding set", "status", "vintage", "dims", "created", *metrics], rows)


def _done(verb: str, set_id: str, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json({verb: set_id})
    else:
        note(f"{verb} {set_id}", quiet=quiet)
