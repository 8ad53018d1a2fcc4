"""How the program ends: exit codes, messages, and what it does not import."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from naics_graph import cli, errors
from naics_graph.cli import BROKEN_PIPE, INTERRUPTED, app
from naics_graph.errors import NaicsGraphError
from tests.cli.conftest import Run

HEAVY = {
    *("torch", "transformers", "torch_geometric", "geoopt", "sklearn", "scipy", "numpy", "pyarrow"),
    *("neo4j", "ladybug", "httpx", "openpyxl", "python_calamine", "tensorboard", "yaml"),
}
ERRORS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, NaicsGraphError)
]
Raise = Callable[[BaseException], None]


@pytest.fixture
def failing() -> Iterator[Raise]:
    """Register a command `fail` that raises what it is given."""
    before = len(app.registered_commands)

    def register(error: BaseException) -> None:
        def fail() -> None:
            raise error

        app.command("fail")(fail)

    yield register
    del app.registered_commands[before:]


def naics_graph(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "naics_graph.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("kind", ERRORS)
def test_each_error_of_ours_has_its_exit_code_and_no_traceback(
    run: Run, failing: Raise, kind: type[NaicsGraphError]
) -> None:
    failing(kind("saw [it]", where="a/file, row 3", do="mend it"))
    outcome = run("fail")
    assert outcome.code == kind.exit_code
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        "error: saw [it]",
        "  where: a/file, row 3",
        "  to do: mend it",
    ]


def test_exit_codes_cover_the_contract() -> None:
    assert {kind.exit_code for kind in ERRORS} == {1, 2, 3, 4, 5, 6, 7}


def test_the_unexpected_is_one_line_and_a_hint(run: Run, failing: Raise) -> None:
    failing(ZeroDivisionError("a [bold]defect[/bold]"))
    outcome = run("fail")
    assert outcome.code == 1
    first, hint = outcome.err.splitlines()
    assert first == "error: unexpected ZeroDivisionError: a [bold]defect[/bold]"
    assert "--debug" in hint
    assert "NAICS_GRAPH_DEBUG=1" in hint


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), errors.DataError("x")])
def test_debug_shows_the_traceback(
    run: Run, failing: Raise, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(error)
    assert "Traceback" not in run("fail").err
    assert "Traceback" in run("--debug", "fail").err
    assert "Traceback" not in run("fail").err
    monkeypatch.setenv("NAICS_GRAPH_DEBUG", "1")
    outcome = run("fail")
    assert "Traceback" in outcome.err
    assert "raise error" in outcome.err
    assert "repeat it" not in outcome.err


def test_a_warning_is_shown_as_ours(run: Run) -> None:
    def warn() -> None:
        logging.getLogger("naics_graph.encode.cache").warning("vectors are not kept")

    before = len(app.registered_commands)
    app.command("warn")(warn)
    try:
        assert run("warn").err == "warning: vectors are not kept\n"
    finally:
        del app.registered_commands[before:]


def test_importing_configures_no_logging() -> None:
    script = (
        "import logging, naics_graph, naics_graph.cli, naics_graph.pipeline\n"
        "ours = logging.getLogger('naics_graph')\n"
        "print(ours.handlers, ours.level, logging.root.handlers)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert process.stdout == "[] 0 []\n"


def test_interrupt_is_quiet(run: Run, failing: Raise) -> None:
    failing(KeyboardInterrupt())
    outcome = run("fail")
    assert (outcome.code, outcome.out) == (INTERRUPTED, "")
    assert "Traceback" not in outcome.err


def test_a_reader_that_leaves_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout:
        process = subprocess.run(
            [sys.executable, "-m", "naics_graph.cli", "load", "--help"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (process.returncode, process.stderr) == (BROKEN_PIPE, "")


@pytest.mark.parametrize(
    ("arguments", "saw"),
    [
        (["lod"], "Did you mean 'load'"),
        (["load", "--sauce", "x"], "--sauce"),
        (["load", "--source"], "--source"),
        (["search", "x", "--limit", "many"], "--limit"),
        (["sets", "activate"], "ID"),
        (["sets", "forget", "x"], "forget"),
    ],
)
def test_usage_errors_exit_2_and_say_what(run: Run, arguments: list[str], saw: str) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert saw in outcome.err


def test_help_and_completion_are_on_stdout(run: Run) -> None:
    outcome = run("--help")
    assert (outcome.code, outcome.err) == (0, "")
    for name in (
        "load",
        "train",
        "search",
        "similar",
        "query",
        "evaluate",
        "info",
        "sets",
        "fetch",
    ):
        assert f" {name} " in outcome.out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["nonsense"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom naics_graph.cli import main\n"
        f"main({arguments!r})\nprint('modules', *sys.modules, file=sys.stderr)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    modules = set(process.stderr.splitlines()[-1].split())
    assert "typer" in modules
    assert modules & HEAVY == set()


def test_module_form_and_colours_off(tmp_path: Path) -> None:
    process = naics_graph("info", "--database", str(tmp_path / "none.lbug"), NO_COLOR="1")
    assert process.returncode == 4
    assert process.stderr.startswith("error: ")
    assert "\x1b" not in process.stderr + process.stdout


@pytest.mark.parametrize(
    ("typed", "given", "restarts"),
    [
        (["train", "--help"], None, True),
        (["--debug", "quickstart", "--help"], None, True),
        (["search", "--help"], None, False),
        ([], None, False),
        (["train"], ["train", "--help"], False),
    ],
)
def test_only_a_training_that_was_typed_starts_again_with_huge_pages(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], given: list[str] | None, restarts: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(cli, "restart_with_huge_pages", lambda: calls.append("restarted"))
    monkeypatch.setattr(sys, "argv", ["naics-graph", *typed])
    cli.main(given)
    assert bool(calls) is restarts
