"""What the commands share: JSON, tables, progress."""

from __future__ import annotations

import io
import json
import logging
import math

import pytest
from rich.console import Console

from naics_graph.cli import common
from naics_graph.store.contract import show_detail


def test_json_is_one_object_with_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_json({"codes": 3, "text": "Women’s"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"schema": 1, "codes": 3, "text": "Women’s"}
    assert out.index("schema") < out.index("codes")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_json_refuses_what_json_cannot_say(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        common.print_json({"mrr": number})


def test_a_table_for_a_file_is_neither_cut_nor_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "word " * 100
    common.print_table(["name", "mrr"], [["[b]a[/b]", 0.5], [long, None]], title="Title")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Title"
    assert any(line.lstrip().startswith("[b]a[/b] ") and line.endswith("0.500") for line in lines)
    assert any(long.strip() in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_progress_for_a_file_is_a_line_a_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with common.progress() as report:
        assert report is not None
        for done in range(3):
            report("reading [x]", done, 3)
        report("writing", 0, 0)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["reading [x]", "writing"]


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with common.progress(quiet=True) as report:
        assert report is None
    common.note("a note", quiet=True)
    assert capsys.readouterr() == ("", "")


def terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> io.StringIO:
    """What the commands write to from now on, as to a terminal of that width."""
    screen = io.StringIO()
    monkeypatch.setattr(
        common, "stderr_console", lambda: Console(file=screen, force_terminal=True, width=width)
    )
    return screen


def test_progress_on_a_terminal_is_a_bar_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, width=80)
    with common.progress() as report:
        assert report is not None
        report("reading", 1, 4)
        report("reading", 4, 4)
        report("writing", 0, 0)
    assert "reading" in screen.getvalue()
    assert "4/4" in screen.getvalue()
    assert "0/?" in screen.getvalue()


def test_a_bar_shows_the_parts_of_a_loss_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, width=160)
    with common.progress() as report:
        assert report is not None
        report("learning", 1, 4)
        show_detail(report, "learning", {"loss": 1.23456, "radius": 0.5})
        report("learning", 2, 4)
    assert "loss 1.23  radius 0.5" in screen.getvalue()
    assert "left" in screen.getvalue()


def log(level: int, text: str) -> None:
    logging.getLogger("naics_graph.contrast.curriculum").log(level, text)


@pytest.mark.parametrize(("quiet", "said"), [(False, ["50% [x]"]), (True, [])])
def test_what_is_logged_is_shown_and_quiet_leaves_the_warnings(
    capsys: pytest.CaptureFixture[str], quiet: bool, said: list[str]
) -> None:
    root, before = logging.getLogger(), logging.getLogger("naics_graph").handlers
    others = list(root.handlers), root.level
    with common.progress(quiet=quiet):
        log(logging.DEBUG, "detail")
        log(logging.INFO, "50% [x]")
        log(logging.WARNING, "collapsed")
        logging.getLogger("torch").warning("theirs")
        assert (root.handlers, root.level) == others
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [*said, "warning: collapsed"]
    assert logging.getLogger("naics_graph").handlers is before


def test_what_is_logged_stands_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, width=80)
    with common.progress() as report:
        assert report is not None
        report("learning", 1, 4)
        log(logging.INFO, "a switch")
    # The bar is wiped, and drawn again in the line below.
    assert "\r\x1b[2Ka switch\nlearning " in screen.getvalue()


def test_a_progress_without_a_place_for_figures_is_spared_them() -> None:
    show_detail(None, "learning", {"loss": 1.0})
    show_detail(lambda _what, _done, _total: None, "learning", {"loss": 1.0})
