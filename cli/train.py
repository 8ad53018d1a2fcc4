"""`naics-graph train`: the four stages, and the embeddings back into the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .common import (
    DatabaseOption,
    JsonOption,
    QuietOption,
    note,
    print_json,
    print_table,
    progress,
)

if TYPE_CHECKING:
    from naics_graph.pipeline import TrainReport


def train(
    context: typer.Context,
    vintage: Annotated[
        str | None,
        typer.Option(
            "--vintage",
            metavar="YEAR",
            help="The NAICS vintage. Default: the newest loaded; with --resume that of the run.",
            show_default=False,
        ),
    ] = None,
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
            help="One setting, dotted, e.g. contrast.epochs=20; may be repeated. "
            "docs/settings.md has them all.",
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
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            help="Share the steps of stages 3 and 4 among N processes on the CPU.",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            "--gpus",
            metavar="N",
            help="The same on N GPUs of this machine, one process each.",
            show_default=False,
        ),
    ] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train on the loaded vintage and publish the embeddings as the active set.

    On several machines: torchrun --nnodes … --nproc-per-node N -m -- naics_graph.cli train …
    """
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
    count = _processes(processes, gpus)
    resolved = None if resume else load_config(TrainConfig, config, overrides or ())
    from naics_graph import distributed

    if count > 1 and not distributed.is_launched():
        from naics_graph.launch import launch

        raise typer.Exit(launch(context.obj.arguments, count))
    kind: Literal["cpu", "cuda"] | None = "cuda" if gpus else "cpu" if processes else None
    with (
        distributed.start(kind) as world,
        connect(database) as handle,
        progress(quiet=quiet or not world.is_main) as report_progress,
    ):
        report = handle.train(
            resolved,
            vintage=vintage,
            run=resume or run,
            resume=resume is not None,
            progress=report_progress,
            world=world,
        )
    if not world.is_main:
        return
    if as_json:
        print_json(train_json(report))
    else:
        print_report(report, quiet=quiet)


def _processes(processes: int | None, gpus: int | None) -> int:
    """How many processes are asked for; GPUs that are not there are refused before any starts."""
    from naics_graph.errors import UsageError

    if processes is not None and gpus is not None:
        raise UsageError(
            "--processes came with --gpus",
            where="train",
            do="give --gpus N to train on GPUs, --processes N to train on the CPU",
        )
    count = gpus if processes is None else processes
    if count is None:
        return 1
    if count < 1:
        flag = "--gpus" if processes is None else "--processes"
        raise UsageError(f"{flag} is {count}", where="train", do="give a number of at least 1")
    if gpus is not None:
        from naics_graph.distributed import require_gpus

        require_gpus(gpus)
    return count


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
