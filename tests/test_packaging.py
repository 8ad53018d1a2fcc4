"""What is shipped: the sdist holds everything, the wheel made of it works on its own."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("naics_graph", "cli", "cypher", "tests", "docs", "docker", "benchmarks")
MAPPED = {"naics_graph": "naics_graph", "cli": "naics_graph/cli", "cypher": "naics_graph/cypher"}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def shipped(tree: Path) -> dict[str, Path]:
    """Every file of a tree that belongs into the wheel, by its name there."""
    return {
        f"{inside}/{path.relative_to(tree / folder).as_posix()}": path
        for folder, inside in MAPPED.items()
        for path in (tree / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: building leaves files behind."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in BUILT_FROM:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    return tree


@pytest.fixture(scope="module")
def dist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from the sdist, without a network."""
    dist = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(tree)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    return dist


@pytest.mark.slow
def test_the_wheel_holds_every_file_at_its_place_and_no_other(tree: Path, dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        expected = shipped(tree)
        assert names == expected.keys()
        for name, path in expected.items():
            assert archive.read(name) == path.read_bytes(), name
        info = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "naics-graph = naics_graph.cli:main" in archive.read(info).decode()
    assert any(name.endswith("py.typed") for name in names)
    assert sum(name.endswith(".cypher") for name in names) > 8
    assert {f"naics_graph/taxonomy/bundled/{year}.csv" for year in ("2017", "2022")} <= names


@pytest.mark.slow
def test_the_sdist_holds_what_the_tests_need(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt"} <= names
    assert {"pyproject.toml", "tests/test_packaging.py", "tests/cli/conftest.py"} <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.slow
def test_the_wheel_works_where_the_tree_is_not(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, capture_output=True)
    script = (
        "import naics_graph, naics_graph.cli, naics_graph.cypher\n"
        "from naics_graph.store.queries import load_query\n"
        "from naics_graph.taxonomy.bundled.edition import read_bundled\n"
        "for one in (naics_graph, naics_graph.cli, naics_graph.cypher): print(one.__file__)\n"
        "print(load_query('ladybug', 'industries'))\n"
        "print(len(read_bundled('2022').industries))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}

    def python(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    lines = python("-c", script).splitlines()
    files, query, codes = lines[:3], lines[3:-1], lines[-1]
    assert all(Path(file).is_relative_to(site) for file in files)
    assert "MATCH" in "\n".join(query)
    assert codes == "2125"
    assert "quickstart" in python("-m", "naics_graph.cli", "--help")


def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(pin.url is None and pin.marker is None and not pin.extras for pin in pins)
    return {
        canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in pins
    }


def test_constraints_pin_every_dependency_within_its_range() -> None:
    pins = constraints()
    extras = project()["optional-dependencies"].values()
    wanted = [*project()["dependencies"], *itertools.chain.from_iterable(extras)]
    for requirement in map(Requirement, wanted):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} has no pin"
        assert pin in requirement.specifier, f"{requirement} is pinned to {pin}"


def test_constraints_leave_the_build_of_torch_open() -> None:
    assert "torch" in constraints()
    assert not [name for name in constraints() if name.startswith(("nvidia", "cuda", "triton"))]


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return subprocess.run(
        ["make", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_make_without_a_target_lists_the_targets(tmp_path: Path) -> None:
    listed = make(tmp_path)
    assert listed.returncode == 0
    for target in ("quickstart", "test", "lint", "clean"):
        assert f"make {target} " in listed.stdout


def test_make_names_the_python_it_needs(tmp_path: Path) -> None:
    refused = make(tmp_path, "quickstart", "PYTHON=no-such-python false")
    assert refused.returncode != 0
    assert "needs Python 3.11 or newer; tried: no-such-python false" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
