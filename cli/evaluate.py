"""`naics-graph evaluate`: every stage beside its baselines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    DatabaseOption,
    JsonOption,
    QuietOption,
    VintageOption,
    note,
    print_json,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from naics_graph.evaluate.report import EvaluationReport


def evaluate(
    vintage: VintageOption = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            metavar="FILE",
            help="Your own labelled table: CSV (- is stdin) or Parquet with the columns text and "
            "code. Default: the entries of the validation role.",
            show_default=False,
        ),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Fit and score the five baselines too (minutes the first time, then cached).",
        ),
    ] = True,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score every stage, and what the database answers, beside the baselines."""
    from naics_graph import connect

    with connect(database) as handle, progress(quiet=quiet) as report_progress:
        report = handle.evaluate(
            vintage=vintage, queries=queries, baselines=baselines, progress=report_progress
        )
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print_report(report)
    if report.left_out:
        counts = ", ".join(f"{n} {name}" for name, n in report.left_out.items())
        note(f"left out of the load, (nearly) equal to evaluated texts: {counts}", quiet=quiet)
    if report.embedding_set is None:
        note(
            "no embedding set is active, so there are no stages to score: run `naics-graph train`",
            quiet=quiet,
        )


def print_report(report: EvaluationReport) -> None:
    """Two tables: rank figures of the systems, tree figures of the stages."""
    split = report.split
    asked = (
        f"{split.queries:,} texts of the {split.role} role"
        if split.role
        else (f"{split.queries:,} labelled texts")
    )
    for title, rows in (
        (f"NAICS {report.vintage}: {asked}, {report.candidates:,} candidates", report.rows),
        ("tree, all codes", report.tree),
    ):
        if rows:
            columns = [field.name for field in dataclasses.fields(rows[0])]
            print_table(columns, [dataclasses.astuple(row) for row in rows], title=title)
