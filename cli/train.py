"""`naics-graph train`: the four stages, and the embeddings back into the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from naics_graph.pipeline import TrainReport


def train(
    vintage: VintageOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="A YAML file of settings.", show_default=False
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="One setting, dotted, e.g. contrast.epochs=20; may be repeated.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Name of the run and of the embedding set. Default: vintage and time.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="NAME",
            help="Continue this run from its last checkpoint, with its own settings.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train on the loaded vintage and publish the embeddings as the active set."""
    from naics_graph import connect
    from naics_graph.config import load_config
    from naics_graph.errors import UsageError
    from naics_graph.pipeline import TrainConfig

    if resume is not None and (config is not None or overrides or run is not None):
        raise UsageError(
            "--resume came with --config, --set or --run",
            where="train",
            do="leave them out: a resumed run keeps its name and its own settings",
        )
    resolved = None if resume else load_config(TrainConfig, config, overrides or ())
    with connect(database) as handle, progress(quiet=quiet) as report_progress:
        report = handle.train(
            resolved,
            vintage=vintage,
            run=resume or run,
            resume=resume is not None,
            progress=report_progress,
        )
    if as_json:
        print_json(train_json(report))
    else:
        print_report(report, quiet=quiet)


def train_json(report: TrainReport) -> dict[str, Any]:
    """The `train` object of the command line's JSON contract."""
    return {
        "run": report.run,
        "embedding_set": report.embedding_set,
        "stages": [
            {
                "stage": stage.stage,
                "seconds": round(stage.seconds, 3),
                "accepted": stage.accepted,
                "metrics": dict(stage.metrics),
                "note": stage.note,
            }
            for stage in report.stages
        ],
        "seconds": round(report.seconds, 3),
    }


COLUMNS = ("mrr", "top1", "hit10", "pearson", "parent_at_1", "edge_map", "distortion")


def print_report(report: TrainReport, *, quiet: bool) -> None:
    """One row a stage; what was not measured stays empty."""
    rows = [
        [
            stage.stage,
            f"{stage.seconds:.1f}",
            "yes" if stage.accepted else "no",
            *(stage.metrics.get(name) for name in COLUMNS),
        ]
        for stage in report.stages
    ]
    print_table(
        ["stage", "seconds", "accepted", *COLUMNS],
        rows,
        title=f"embedding set {report.embedding_set}, {report.seconds:.0f} s",
    )
    for stage in report.stages:
        if stage.note:
            note(f"{stage.stage}: {stage.note}", quiet=quiet)
