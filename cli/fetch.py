"""`naics-graph fetch`: the official workbooks into the user cache."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from naics_graph.taxonomy.bundled.edition import NEWEST

from .common import JsonOption, QuietOption, note, print_json, print_table, progress


def fetch(
    vintage: Annotated[
        str, typer.Option("--vintage", metavar="YEAR", help="The vintage.")
    ] = NEWEST,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch again what is already in the cache.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch a vintage's four workbooks from the Census Bureau into the cache.

    Then `naics-graph load --source census` reads them.
    """
    from naics_graph.taxonomy.fetch import fetch_vintage

    with progress(quiet=quiet) as report_progress:
        report = fetch_vintage(vintage, force=force, progress=report_progress)
    for file in report.files:
        if not file.known:
            note(
                f"warning: {file.name} has a sha256 we do not know ({file.sha256}). The Bureau "
                "republishes workbooks now and then; this one reads as a valid workbook.",
                quiet=quiet,
            )
    if as_json:
        print_json(dataclasses.asdict(report) | {"folder": str(report.folder)})
        return
    rows = [(f.name, f.bytes, f.sha256, "known" if f.known else "unknown") for f in report.files]
    print_table(["file", "bytes", "sha256", "hash"], rows, title=str(report.folder))
    note(f"Next: naics-graph load --source census --vintage {vintage}", quiet=quiet)
