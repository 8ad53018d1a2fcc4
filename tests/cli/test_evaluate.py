"""`naics-graph evaluate`: what is printed, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from naics_graph.cli.evaluate import print_report
from naics_graph.evaluate.report import EvaluationReport, Split
from naics_graph.evaluate.systems import SystemRow, TreeRow
from naics_graph.store.open import open_store
from tests.cli.conftest import Run
from tests.evaluate.small import small_taxonomy


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A loaded, untrained embedded database."""
    path = str(tmp_path / "small.lbug")
    with open_store(path) as store:
        store.migrate()
        store.load(small_taxonomy())
    return path


def test_untrained_without_baselines_says_what_to_do(run: Run, database: str) -> None:
    found = run("evaluate", "--no-baselines", "--json", "--database", database)
    assert found.code == 0, found.err
    assert found.json["schema"] == 1
    assert found.json["split"]["queries"] == 3
    assert found.json["split"]["role"] == "validation"
    assert (found.json["candidates"], found.json["rows"], found.json["tree"]) == (8, [], [])
    assert "naics-graph train" in found.err


def test_a_bad_table_is_exit_code_3_and_names_the_row(
    run: Run, database: str, tmp_path: Path
) -> None:
    table = tmp_path / "gold.csv"
    table.write_text("text,code\nsoybeans,111110\nmore,999999\n", encoding="utf-8")
    found = run("evaluate", "--no-baselines", "--database", database, "--queries", str(table))
    assert (found.code, found.out) == (3, "")
    assert "'999999' is no code" in found.err
    assert f"{table}, line 3" in found.err


def test_a_database_without_a_vintage_is_exit_code_4(run: Run, database: str) -> None:
    found = run("evaluate", "--no-baselines", "--database", database, "--vintage", "1997")
    assert found.code == 4
    assert "1997" in found.err


def test_both_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    report = EvaluationReport(
        vintage="2022",
        embedding_set="run",
        split=Split("0" * 64, "validation", 4042),
        candidates=1012,
        rows=(SystemRow("linear SVM", "baseline", 108121, 0.769, 0.685, 0.873, 0.908, 3.877),),
        tree=(TreeRow("contrast", 0.957, 0.93, 0.977, 0.99, 0.97, 0.08),),
    )
    print_report(report)
    lines = capsys.readouterr().out.splitlines()
    assert "NAICS 2022: 4,042 texts of the validation role, 1,012 candidates" in lines[0]
    assert any(line.split()[:3] == ["linear", "SVM", "baseline"] for line in lines)
    assert any(
        line.split() == ["contrast", *["0.957", "0.930", "0.977", "0.990", "0.970", "0.080"]]
        for line in lines
    )
