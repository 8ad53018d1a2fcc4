"""Write docs/cli.md from the commands, docs/api.md from the docstrings of the public library, and
docs/settings.md from the configuration.

    python -m docs.generate_reference

`tests/docs` compares the pages with the code.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs import settings_page

FOLDER = Path(__file__).parent
CLI_PAGE = FOLDER / "cli.md"
API_PAGE = FOLDER / "api.md"

PUBLIC: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("naics_graph", ("connect",)),
    ("naics_graph.handle", ("Handle", "Info")),
    ("naics_graph.search.results", ("SearchResult", "SimilarResult", "Hit", "PathStep")),
    ("naics_graph.store.contract", ("LoadReport", "EmbeddingSetInfo")),
    ("naics_graph.pipeline", ("TrainConfig", "TrainReport", "StageReport")),
    ("naics_graph.artifact", ("Artifact",)),
    ("naics_graph.evaluate.report", ("EvaluationReport", "Split", "SystemRow", "TreeRow")),
    ("naics_graph.search.catalogue", ("hybrid_queries", "run_hybrid", "HybridQuery")),
    (
        "naics_graph.errors",
        (
            "NaicsGraphError",
            "UsageError",
            "DataError",
            "ConfigError",
            "DatabaseError",
            "GateFailedError",
            "ArtifactMismatchError",
            "PartialFailureError",
            "OutOfMemoryError",
            "PeerLostError",
        ),
    ),
)
"""What users of the library rely on, in reading order."""


def render_cli() -> str:
    """The commands, their arguments and options, as `naics-graph --help` tells them."""
    import typer
    from typer.cli import get_docs_for_click

    from naics_graph.cli import app

    command = typer.main.get_command(app)
    # Any: typer carries a copy of click and its annotations name both.
    context: Any = command.make_context("naics-graph", ["--help"], resilient_parsing=True)
    with context:
        text = get_docs_for_click(obj=command, ctx=context, name="naics-graph")
    lines = [line.rstrip() for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def render_api() -> str:
    """The public names, their signatures and docstrings."""
    parts = [
        "# Library reference",
        "",
        "Generated from the docstrings by `python -m docs.generate_reference`.",
        "",
    ]
    for module_name, names in PUBLIC:
        module = importlib.import_module(module_name)
        parts += [f"## {module_name}", ""]
        for name in names:
            parts += _entry(name, getattr(module, name))
    return "\n".join(parts).rstrip() + "\n"


def _entry(name: str, thing: Any) -> list[str]:
    lines = [f"### {name}", "", *_signature(name, thing), *_doc(thing)]
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        for member_name, member in vars(thing).items():
            if member_name.startswith("_") or not _is_verb(member):
                continue
            function = member.fget if isinstance(member, property) else member
            lines += [f"#### {name}.{member_name}", "", *_signature(member_name, member)]
            lines += _doc(function)
    return lines


def _is_verb(member: object) -> bool:
    return inspect.isfunction(member) or (isinstance(member, property) and bool(member.__doc__))


def _signature(name: str, thing: Any) -> list[str]:
    if isinstance(thing, property) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return []
    signature = inspect.signature(thing)
    shown = [
        parameter.replace(annotation=_bare(parameter.annotation))
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    returns = inspect.Signature.empty if inspect.isclass(thing) else signature.return_annotation
    text = str(signature.replace(parameters=shown, return_annotation=_bare(returns)))
    return ["```python", f"{name}{_wrapped(text)}", "```", ""]


class _Bare(str):
    """An annotation that prints without quotes: they are strings in the source (PEP 563)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _bare(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _wrapped(signature: str) -> str:
    if len(signature) < 80:
        return signature
    inner, _, result = signature.rpartition(")")
    parameters = _split(inner.removeprefix("("))
    return "(\n" + "".join(f"    {p},\n" for p in parameters) + ")" + result


def _split(parameters: str) -> list[str]:
    found, depth, start = [], 0, 0
    for position, character in enumerate(parameters):
        depth += character in "[({"
        depth -= character in "])}"
        if character == "," and depth == 0:
            found.append(parameters[start:position].strip())
            start = position + 1
    return [*found, parameters[start:].strip()]


def _doc(thing: Any) -> list[str]:
    text = inspect.getdoc(thing) or ""
    return [*_sections(text.splitlines()), ""]


def _sections(lines: Sequence[str]) -> list[str]:
    """Google-style sections as Markdown lists; other lines as they are."""
    out: list[str] = []
    inside = False
    for line in lines:
        heading = re.fullmatch(r"(Args|Raises|Returns):", line)
        if heading:
            inside = True
            out += [f"**{heading[1]}**", ""]
        elif inside and re.match(r"    \S", line):
            out.append("- " + re.sub(r"^(\w[\w, ]*):", r"`\1`:", line.strip()))
        elif inside and line.startswith("        "):
            out.append("  " + line.strip())
        else:
            inside = inside and not line
            out.append(line)
    return out


def main() -> None:
    """Write the pages."""
    CLI_PAGE.write_text(render_cli(), encoding="utf-8")
    API_PAGE.write_text(render_api(), encoding="utf-8")
    settings_page.PAGE.write_text(settings_page.render(), encoding="utf-8")


if __name__ == "__main__":
    main()
