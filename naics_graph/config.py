"""Typed configuration: dataclasses from a YAML file and dotted `--set a.b=value` overrides.

A component owns the dataclass that configures it; this module only fills them. An unknown key is an
error that names the nearest one; a value of the wrong type is an error that names the type.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from naics_graph.errors import ConfigError

T = TypeVar("T")


def load_config(cls: type[T], path: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Build `cls` from its defaults, then the YAML file, then `key.path=value` overrides.

    Raises:
        ConfigError: unreadable file, unknown key, ill-typed value, or an override without `=`.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_yaml(path)
    for override in overrides:
        key, separator, raw = override.partition("=")
        if not separator:
            raise ConfigError(
                f"override {override!r} has no '='",
                where="--set",
                do="write it as section.key=value, e.g. --set loss.temperature=0.1",
            )
        _put(values, key.strip().split("."), yaml.safe_load(raw))
    return load_mapping(cls, values)


def load_mapping(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build `cls` from a nested mapping, such as a stored configuration.

    Raises:
        ConfigError: unknown key or ill-typed value.
    """
    return _build(cls, values, "")


def dump_config(config: Any) -> str:
    """The resolved configuration as YAML, keys in the order of the dataclasses."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"the configuration cannot be read: {error}",
            where=str(path),
            do="give --config a readable YAML file",
        ) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(
            f"the configuration is a {type(loaded).__name__}, not a mapping",
            where=str(path),
            do="write it as sections of key: value",
        )
    return loaded


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(
                f"{key!r} is a value, not a section",
                where="--set " + ".".join(keys),
                do="name a key inside a section",
            )
        values = inner
    values[keys[-1]] = value


def _build(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
            raise ConfigError(
                f"unknown configuration key {dotted!r}",
                where=cls.__name__,
                do=f"the nearest key is {prefix}{near[0]!s}; all: {', '.join(known)}",
            )
        arguments[name] = _convert(hints[name], value, dotted)
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(
            str(error), where=prefix.rstrip(".") or cls.__name__, do="change the value"
        ) from error


def _convert(kind: Any, value: Any, dotted: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise _ill_typed(dotted, value, "a section of keys")
        return _build(kind, value, dotted + ".")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [a for a in arguments if a is not type(None)]
        return _convert(kinds[0], value, dotted)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise _ill_typed(dotted, value, "one of " + ", ".join(map(str, arguments)))
    if origin is tuple and isinstance(value, list | tuple):
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        if inner is None and len(arguments) != len(value):
            raise _ill_typed(dotted, value, f"{len(arguments)} values")
        types_ = [inner] * len(value) if inner is not None else list(arguments)
        return tuple(
            _convert(t, v, f"{dotted}[{i}]")
            for i, (t, v) in enumerate(zip(types_, value, strict=True))
        )
    if kind is float and isinstance(value, str):
        # YAML reads 1e-3 (no point) as a string.
        try:
            return float(value)
        except ValueError:
            raise _ill_typed(dotted, value, "float") from None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if (
        isinstance(kind, type)
        and isinstance(value, kind)
        and not (kind is int and isinstance(value, bool))
    ):
        return value
    raise _ill_typed(dotted, value, getattr(kind, "__name__", str(kind)))


def _ill_typed(dotted: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(
        f"{dotted} is {value!r}, a {type(value).__name__}",
        where=dotted,
        do=f"give {wanted}",
    )
