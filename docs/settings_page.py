"""What docs/settings.md says: every key of the configuration, from the dataclasses that own it.

`python -m docs.generate_reference` writes the page.

A dataclass explains its fields in its docstring, as sentences that begin with `name: ` or `name,
name: `. What comes before the first of them is about the section.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from pathlib import Path
from typing import Any, Final

import yaml

from naics_graph.config import Section, sections
from naics_graph.pipeline import TrainConfig

PAGE = Path(__file__).parent / "settings.md"

INTRO = """# Settings

Every key of `train --set KEY=VALUE`, and of the YAML file of `--config`, where the parts of a
dotted key are sections: `refine: {epochs: 8}`. Defaults come first, then the file, then `--set`. A
list is written `[a, b]`. A run's `config.yaml` has the values of that run. What they are good for
and were chosen by: [training.md](training.md).

Generated from the dataclasses by `python -m docs.generate_reference`.
"""

_NAMES: Final[dict[Any, str]] = {int: "int", float: "float", bool: "`true`, `false`", str: "text"}


def render() -> str:
    """The page."""
    return "\n".join([INTRO, *(_section(section) for section in sections(TrainConfig))])


def explained(cls: type) -> tuple[str, dict[str, str]]:
    """What a configuration's docstring says of the whole, and of every field it explains.

    A field that a subclass does not explain means what it means in the base.
    """
    about, meanings = _split(cls, cls.__doc__ or "")
    for base in cls.__bases__:
        if dataclasses.is_dataclass(base):
            meanings = explained(base)[1] | meanings
    return about, meanings


def _split(cls: type, docstring: str) -> tuple[str, dict[str, str]]:
    text = " ".join(docstring.split())
    name = "(?:" + "|".join(f.name for f in dataclasses.fields(cls)) + ")"
    about, *found = re.split(rf"(?:^|(?<=[.;] ))({name}(?:, {name})*): ", text)
    pairs = zip(found[::2], found[1::2], strict=True)
    return about.strip(), {
        one: meaning.strip().rstrip(";.") + "."
        for names, meaning in pairs
        for one in names.split(", ")
    }


def _section(section: Section) -> str:
    about, meanings = explained(section.cls)
    rows = [
        _row(section.prefix + one.name, one, section.hints[one.name], meanings.get(one.name, ""))
        for one in section.fields
        if not dataclasses.is_dataclass(section.hints[one.name])
    ]
    lines = [f"## {section.prefix.rstrip('.') or 'The whole run'}", ""]
    if about:
        lines += [about, ""]
    if rows:
        lines += [
            "| key | default | type or choices | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(lines)


def _row(key: str, one: dataclasses.Field[Any], hint: Any, meaning: str) -> str:
    bars = meaning.replace("|", "\\|")
    return f"| `{key}` | `{default(one)}` | {kind(hint)} | {bars} |"


def default(one: dataclasses.Field[Any]) -> str:
    """The default as `--set` takes it."""
    value = list(one.default) if isinstance(one.default, tuple) else one.default
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def kind(hint: Any) -> str:
    """The type of a field in words, or its choices."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {kind(arguments[0])}"
    if origin in (typing.Union, types.UnionType):
        inner = ", ".join(kind(a) for a in arguments if a is not types.NoneType)
        return f"{inner} or `null`"
    return _NAMES[hint]
