"""What the commands share: options, the two consoles, progress, JSON and tables.

Results go to stdout, everything else to stderr. rich honours NO_COLOR and leaves control codes out
when the stream is not a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from naics_graph.store.contract import Progress

SCHEMA: Final = 1
WIDE: Final = 10_000
"""Columns of a table that is not for a terminal: nothing wraps, nothing is cut."""

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="FILE|URI",
        help="A file (embedded database) or a neo4j:// or bolt:// address. "
        "Default: NEO4J_URI, else a file in the user data folder.",
        show_default=False,
    ),
]
VintageOption = Annotated[
    str | None,
    typer.Option(
        "--vintage", metavar="YEAR", help="The NAICS vintage. Default: the newest loaded."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]


def stderr_console() -> Console:
    """The console for talk: progress, notes, errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str, *, quiet: bool = False) -> None:
    """Say something beside the result, on stderr."""
    if not quiet:
        stderr_console().print(text, markup=False, soft_wrap=True)


class _ToConsole(logging.Handler):
    """Prints records as notes, those from warnings up with their level before them."""

    def __init__(self, console: Console | None) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text

        said = Text(self.format(record))
        if record.levelno >= logging.WARNING:
            said = Text.assemble((f"{record.levelname.lower()}: ", "bold yellow"), said)
        (self._console or stderr_console()).print(said, soft_wrap=True)


@contextmanager
def logged(level: int, console: Console | None = None) -> Iterator[None]:
    """Print what `naics_graph` logs from `level` up; the loggers of libraries are left alone.

    Args:
        level: of `logging`.
        console: where bars are drawn, if any; another would write into them.
    """
    logger = logging.getLogger("naics_graph")
    handlers, before = logger.handlers, logger.level
    logger.handlers = [_ToConsole(console)]
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.handlers = handlers
        logger.setLevel(before)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress | None]:
    """A `Progress` that draws bars on stderr, one line per phase where that is no terminal.

    What is logged meanwhile stands above the bars. Yields None when quiet, which every operation
    takes for "do not report"; only warnings are shown then.
    """
    console = stderr_console()
    with logged(logging.WARNING if quiet else logging.INFO, console):
        if quiet:
            yield None
        elif console.is_terminal:
            yield from _bars(console)
        else:
            yield _lines(console)


class _Bars:
    """A `DetailedProgress`: one bar an operation, its figures behind it."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        self._bars.update(self._task(what), completed=done, total=total or None)

    def detail(self, what: str, values: Mapping[str, float]) -> None:
        figures = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
        self._bars.update(self._task(what), figures=figures)

    def _task(self, what: str) -> Any:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=None, figures="")
        return self._tasks[what]


def _bars(console: Console) -> Iterator[Progress]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield _Bars(bars)


def _lines(console: Console) -> Progress:
    seen: set[str] = set()

    def report(what: str, done: int, total: int) -> None:  # noqa: ARG001  (the contract's arguments)
        if what not in seen:
            seen.add(what)
            console.print(what, markup=False, soft_wrap=True)

    return report


def print_json(obj: Mapping[str, Any]) -> None:
    """Print one JSON object, `"schema": 1` first. Numbers that are not finite are an error."""
    text = json.dumps({"schema": SCHEMA, **obj}, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None
) -> None:
    """Print a table on stdout; numbers are set to the right, floats to three places."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for position, name in enumerate(columns):
        numeric = any(isinstance(row[position], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
