"""`naics-graph info`: what a database holds."""

from __future__ import annotations

import dataclasses

from .common import DatabaseOption, JsonOption, print_json, print_table
from .sets import print_sets


def info(database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Show what the database holds: vintages, counts, migrations, embedding sets."""
    from naics_graph import connect

    with connect(database) as handle:
        found = handle.info()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    rows: list[tuple[str, object]] = [
        ("database", found.database),
        ("vintages", ", ".join(found.vintages) or "none: run `naics-graph load`"),
        ("migrations", ", ".join(found.migrations) or "none"),
        *found.counts.items(),
    ]
    print_table(["", ""], rows)
    if found.embedding_sets:
        print_sets(found.embedding_sets)
