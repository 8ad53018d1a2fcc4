"""The `naics-graph` command: one file per command, wired here.

To add the command `NAME`: write `cli/NAME.py` with a function `NAME` (typer annotations; its
docstring is the help; options from `.common`), then import the module and register it below. A
command's file imports only typer, `.common`, `naics_graph.errors` and `naics_graph.settings` at
module level; what is heavy it imports inside the function. Commands raise `NaicsGraphError`; `main`
turns it into a message and an exit code.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from naics_graph.errors import NaicsGraphError
from naics_graph.huge_pages import restart_with_huge_pages

from . import evaluate, fetch, info, load, query, quickstart, search, sets, similar, train
from .common import logged, stderr_console

TRAINING = ("train", "quickstart")
INTERRUPTED = 130
BROKEN_PIPE = 141
"""As a shell reports a program that SIGINT or SIGPIPE ended."""


@dataclass(slots=True)
class Flags:
    """The options before the command that `main` needs afterwards, and all the arguments."""

    debug: bool = False
    arguments: tuple[str, ...] = ()


app = typer.Typer(
    name="naics-graph",
    help="NAICS industry codes in a graph database, embedded in hyperbolic space.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def root(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (NAICS_GRAPH_DEBUG=1).")
    ] = False,
) -> None:
    """NAICS industry codes in a graph database, embedded in hyperbolic space."""
    if isinstance(context.obj, Flags):
        context.obj.debug = debug


app.command()(quickstart.quickstart)
app.command()(load.load)
app.command()(train.train)
app.command()(search.search)
app.command()(similar.similar)
app.command()(query.query)
app.command()(evaluate.evaluate)
app.command()(info.info)
app.add_typer(sets.app, name="sets")
app.command()(fetch.fetch)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the console script.

    Returns:
        The exit code: 0 ok, 1 unexpected, 2 usage, 3 data or config, 4 database, 5 gate failed,
        6 artifact mismatch, 7 partial failure; 130 interrupted, 141 the reader of stdout left.
    """
    command = next((one for one in sys.argv[1:] if not one.startswith("-")), None)
    if arguments is None and command in TRAINING:
        restart_with_huge_pages()
    flags = Flags(arguments=tuple(sys.argv[1:] if arguments is None else arguments))
    try:
        with logged(logging.WARNING):
            code = _run(list(flags.arguments), flags)
        sys.stdout.flush()
    except NaicsGraphError as error:
        _say(str(error), error, flags)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _broken_pipe()
    except Exception as error:  # noqa: BLE001  (the last line of defence: reported, never swallowed)
        _say(f"unexpected {type(error).__name__}: {error}", error, flags, unexpected=True)
        return 1
    return code


def _run(arguments: list[str], flags: Flags) -> int:
    try:
        app(args=arguments, prog_name="naics-graph", obj=flags)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):
            # typer takes it for its own and exits 1.
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return 0


def _say(text: str, error: Exception, flags: Flags, *, unexpected: bool = False) -> None:
    console = stderr_console()
    debug = flags.debug or bool(os.environ.get("NAICS_GRAPH_DEBUG"))
    if debug:
        trace = "".join(traceback.format_exception(error))
        console.print(trace, markup=False, soft_wrap=True, end="")
    console.print("error: ", style="bold red", end="")
    console.print(text, markup=False, soft_wrap=True)
    if unexpected and not debug:
        console.print(
            "This is a defect, not a mistake of yours: repeat it with `naics-graph --debug …` "
            "(or NAICS_GRAPH_DEBUG=1) and report the traceback.",
            soft_wrap=True,
        )


def _broken_pipe() -> int:
    # The interpreter flushes stdout once more when it ends: let that go nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
