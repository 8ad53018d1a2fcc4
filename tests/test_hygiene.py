"""The house keeps its order: imports point downward, nothing of one machine is tracked."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    ("errors",),
    ("config", "distributed", "huge_pages", "launch", "memory", "runs", "settings"),
    ("taxonomy", "reading"),
    ("store",),
    ("geometry",),
    ("encode",),
    ("contrast",),
    ("refine",),
    ("artifact", "model_card"),
    ("evaluate",),
    ("search", "stage_images"),
    ("pipeline",),
    ("handle",),
    # The package itself offers `connect`, the handle's maker.
    ("",),
    ("cli",),
)
"""From the foundation up: a module imports from its own layer and from those before it."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


@dataclass(frozen=True)
class Import:
    """`importer` imports `imported` (full module names), at load time or later."""

    importer: str
    imported: str
    line: int
    at_load: bool


def modules() -> dict[str, Path]:
    """Our modules by full name; `cli/` is `naics_graph.cli`."""
    found = {}
    for folder, package in (("naics_graph", "naics_graph"), ("cli", "naics_graph.cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[Import]:
    """Every import of ours in a file, wherever it stands: types and functions included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    later = {id(inner) for node in ast.walk(tree) if _is_late(node) for inner in ast.walk(node)}
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        for target in _targets(node, package):
            yield Import(name, target, getattr(node, "lineno", 0), id(node) not in later)


def _is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return True
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _targets(node: ast.AST, package: str) -> Iterator[str]:
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])])
        # `from package import module` names a module, `from module import name` does not.
        names = [
            f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base
            for alias in node.names
        ]
    yield from (name for name in names if name.split(".")[0] == "naics_graph")


ALL = [one for name, path in MODULES.items() for one in imports(name, path)]


def layer(module: str) -> str:
    """The part of the house a module belongs to: naics_graph.store.rows → store."""
    return module.split(".")[1] if "." in module else ""


def test_every_module_has_a_layer() -> None:
    assert {layer(name) for name in MODULES} <= RANK.keys() | {"cypher"}


def test_imports_point_downward() -> None:
    upward = [
        f"{one.importer}:{one.line} imports {one.imported}"
        for one in ALL
        if layer(one.imported) != "cypher"
        and RANK[layer(one.imported)] > RANK[layer(one.importer)]
        # The one door at the top: `naics_graph.connect` for programs.
        and one.importer != "naics_graph"
    ]
    assert upward == []
    assert len(ALL) > 100, "the imports were not found"


def test_nothing_is_imported_in_a_circle() -> None:
    graph = nx.DiGraph(
        (one.importer, one.imported) for one in ALL if one.at_load and one.imported != one.importer
    )
    assert list(nx.simple_cycles(graph)) == []


def test_light_modules_stay_light() -> None:
    light = ["", ".errors", ".config", ".settings", ".taxonomy.model", ".taxonomy.bundled.edition"]
    script = "import sys\n" + "".join(f"import naics_graph{name}\n" for name in light)
    process = subprocess.run(
        [sys.executable, "-c", script + "print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"torch", "transformers", "neo4j", "sklearn", "torch_geometric", "numpy", "ladybug"}
    assert heavy & set(process.stdout.split()) == set()


def tracked_files() -> list[Path]:
    """What git tracks, or the test is skipped: an unpacked sdist has no history."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there are no tracked files to look at")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


FORBIDDEN = re.compile(
    rb"(?<![\w.])/(?:work|root)/|[A-Z]:\\\\?Users"
    rb"|\b(?:pypi|pythonhosted|maven|npmjs)\.org\b|\bcrates\.io\b"
    rb"|\b(?:proxy\.golang|deb\.debian|download\.pytorch)\.org\b"
)
"""A folder of somebody's machine, or a registry's host: clients know where their packages are."""


def test_no_machine_paths_and_no_registry_hosts() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in tracked_files()
        for match in FORBIDDEN.finditer(path.read_bytes())
    ]
    assert found == []


@pytest.mark.parametrize("word", ["/work", "/root", "pypi", "crates", "maven", "download.pytorch"])
def test_what_is_forbidden_is_found(word: str) -> None:
    tail = "/x" if word.startswith("/") else ".io" if word == "crates" else ".org"
    assert FORBIDDEN.search(f"see {word}{tail} ".encode())


def test_no_litter_is_tracked() -> None:
    litter = {
        ".log",
        ".pyc",
        ".pdf",
        ".xlsx",
        ".safetensors",
        ".pkl",
        ".pt",
        ".lbug",
        ".whl",
        ".gz",
    }
    tracked = tracked_files()
    assert [str(path) for path in tracked if path.suffix in litter] == []
    # The companion edition has one file a sector, and a third of all industries are factories.
    large = [path for path in tracked if path.stat().st_size > 500_000]
    assert [path.name for path in large if path.parts[-3] != "companion"] == []
    assert all(path.stat().st_size < 2_000_000 for path in large)
