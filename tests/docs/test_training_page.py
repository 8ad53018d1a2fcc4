"""The Python of docs/training.md runs, on a small trained set in the embedded database."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from naics_graph.store.open import open_store
from tests.search.conftest import fill
from tests.search.tiny import published_with, tiny_artifact
from tests.search.world import make_world

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user: `naics.lbug`, the run of its set, and a copy of the model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAICS_GRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEO4J_URI", raising=False)
    world = make_world("2022", seed=2, curvature=0.5)
    artifact = tiny_artifact(tmp_path / "home" / "data" / "runs", world)
    shutil.copytree(artifact.folder, tmp_path / "artifact")
    with open_store(str(tmp_path / "naics.lbug")) as store:
        fill(store, {"2022": published_with(world, artifact)})
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_runs(snippet: str) -> None:
    exec(compile(snippet, str(PAGE), "exec"), {})


def test_the_snippets_are_found() -> None:
    assert len(SNIPPETS) >= 2
