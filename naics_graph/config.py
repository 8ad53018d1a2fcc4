"""Typed configuration: dataclasses from a YAML file and dotted `--set a.b=value` overrides.

A component owns the dataclass that configures it; this module only fills them. An unknown key is an
error that names the ones it may stand for; a value of the wrong type is an error that names the
type. Fields may be bool, int, float (finite), str, Literal, tuples of these, other dataclasses, and
`X | None`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from naics_graph.errors import ConfigError

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Override:
    """The right side of `--set key=text`: its type is the field's, so `name=2022` can be a str."""

    text: str
    value: Any


def load_config(cls: type[T], path: Path | None = None, overrides: Sequence[str] = ()) -> T:
    """Build `cls` from its defaults, then the YAML file, then `key.path=value` overrides.

    Raises:
        ConfigError: unreadable file, unknown key, ill-typed value, or an override without `=`.
    """
    values = {} if path is None else _read_yaml(path)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise ConfigError(
                f"override {override!r} has no '='",
                where="--set",
                do="write it as section.key=value, e.g. --set loss.temperature=0.1",
            )
        _put(values, key.strip().split("."), _Override(text.strip(), _parse(key, text)))
    return load_mapping(cls, values)


def load_mapping(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build `cls` from a nested mapping, such as a stored configuration.

    Raises:
        ConfigError: unknown key or ill-typed value.
    """
    try:
        return _build(cls, values, "")
    except _UnknownKeyError as unknown:
        raise unknown.told(cls) from None


def dump_config(config: Any) -> str:
    """The resolved configuration as YAML, keys in the order of the dataclasses."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)


def changed_settings(config: Any) -> dict[str, Any]:
    """The values of a configuration that are not the defaults, by dotted key."""
    return dict(_changed(config, type(config)(), ""))


def _changed(config: Any, usual: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for one in dataclasses.fields(config):
        value, default = getattr(config, one.name), getattr(usual, one.name)
        if dataclasses.is_dataclass(value):
            yield from _changed(value, default, f"{prefix}{one.name}.")
        elif value != default:
            yield prefix + one.name, value


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A dataclass within a configuration. prefix: of its keys, with the last dot; "" of the whole.

    hints: the types of its fields by name.
    """

    cls: type
    prefix: str
    hints: Mapping[str, Any]

    @property
    def fields(self) -> tuple[dataclasses.Field[Any], ...]:
        """What can be set in it: values and sections."""
        return tuple(f for f in dataclasses.fields(self.cls) if f.init)


def sections(cls: type, prefix: str = "") -> Iterator[Section]:
    """The configuration `cls` and, in order, every section within it."""
    section = Section(cls, prefix, typing.get_type_hints(cls))
    yield section
    for one in section.fields:
        kind = section.hints[one.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from sections(kind, f"{prefix}{one.name}.")


def require_above_zero(config: Any, *names: str) -> None:
    """Check fields of a dataclass that no value of 0 or below can be used for.

    Raises:
        ValueError: one is 0 or below, or not a number.
    """
    for name in names:
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} is {getattr(config, name)}, it must be above 0")


def require_at_least_one(config: Any, *names: str) -> None:
    """Check fields of a dataclass that count something.

    Raises:
        ValueError: one is below 1.
    """
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} is {getattr(config, name)}, it must be at least 1")


def require_not_negative(config: Any, *names: str) -> None:
    """Check fields of a dataclass of which 0 switches something off.

    Raises:
        ValueError: one is below 0, or not a number.
    """
    for name in names:
        if not getattr(config, name) >= 0:
            raise ValueError(f"{name} is {getattr(config, name)}, it must be 0 or more")


def require_below_one(config: Any, *names: str) -> None:
    """Check fields of a dataclass that are shares or rates of which 1 leaves nothing.

    Raises:
        ValueError: one is outside [0, 1), or not a number.
    """
    for name in names:
        if not 0.0 <= getattr(config, name) < 1.0:
            raise ValueError(f"{name} is {getattr(config, name)}, it must be in [0, 1)")


def require_weights(config: Any, of: str) -> None:
    """Check a dataclass whose fields are weights `of` something.

    Raises:
        ValueError: a weight is negative, or none is above 0.
    """
    weights = dataclasses.astuple(config)
    if min(weights) < 0 or not max(weights) > 0:
        raise ValueError(f"weights of {of} must be 0 or more, and one of them above 0")


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


def _parse(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{text!r} is no YAML value",
            where=f"--set {key}",
            do="write a number, true, false, null, a word, a [list, of, them] or a quoted string",
        ) from error


def _put(values: dict[str, Any], keys: list[str], value: _Override) -> None:
    for key in keys[:-1]:
        # An empty section in a file is None.
        inner = values.get(key)
        if inner is None:
            inner = values[key] = {}
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
            raise _UnknownKeyError(cls, prefix, list(known), _first_key(str(name), value))
        arguments[name] = _convert(hints[name], value, dotted)
    missing = [name for name, f in known.items() if name not in arguments and _required(f)]
    if missing:
        raise ConfigError(
            f"{prefix}{missing[0]} is not set, and it has no default",
            where=prefix.rstrip(".") or cls.__name__,
            do=f"set {', '.join(prefix + name for name in missing)}",
        )
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(
            str(error), where=prefix.rstrip(".") or cls.__name__, do="change the value"
        ) from error


def _required(f: dataclasses.Field[Any]) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


@dataclasses.dataclass(eq=False)
class _UnknownKeyError(Exception):
    """`key` of the section `cls` at `prefix`, which has the keys `known`."""

    cls: type
    prefix: str
    known: list[str]
    key: str

    def told(self, root: type) -> ConfigError:
        """The error for the user, who may have left out a section of `root`."""
        one, *more = self._near(root) or [""]
        nearest = f"the nearest keys are {', '.join([one, *more])}; " if more else ""
        nearest = nearest or (f"the nearest key is {one}; " if one else "")
        return ConfigError(
            f"unknown configuration key {self.prefix + self.key!r}",
            where=self.prefix.rstrip(".") or self.cls.__name__,
            do=f"{nearest}all: {', '.join(self.prefix + name for name in self.known) or 'none'}",
        )

    def _near(self, root: type) -> list[str]:
        """Keys that end as this one, of its own section before others; else the most similar."""
        keys, words = list(_keys(root)), self.key.split(".")
        for count in range(len(words), 0, -1):
            end = "." + ".".join(words[:count])
            same = [key for key in keys if f".{key}".endswith(end)]
            if same:
                return [key for key in same if key.startswith(self.prefix)] or same
        similar = difflib.get_close_matches(words[0], self.known, n=1, cutoff=0.0)
        return [self.prefix + name for name in similar]


def _first_key(name: str, value: Any) -> str:
    """The dotted key of a value, or of the first one within a section."""
    if isinstance(value, Mapping) and value:
        inner, within = next(iter(value.items()))
        return f"{name}.{_first_key(str(inner), within)}"
    return name


def _keys(cls: type) -> Iterator[str]:
    """Every dotted key of a configuration, sections included."""
    for section in sections(cls):
        yield from (section.prefix + one.name for one in section.fields)


def _convert(kind: Any, value: Any, dotted: str) -> Any:
    if isinstance(value, _Override):
        if _wants_text(kind) and value.value is not None and not isinstance(value.value, str):
            return value.text
        value = value.value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        # A section whose keys are all commented out is None: the defaults.
        if value is not None and not isinstance(value, Mapping):
            raise _ill_typed(dotted, value, "a section of keys")
        return _build(kind, value or {}, dotted + ".")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (a for a in arguments if a is not type(None))
        return _convert(inner, value, dotted)
    if origin is typing.Literal:
        if any(type(value) is type(one) and value == one for one in arguments):
            return value
        raise _ill_typed(dotted, value, "one of " + ", ".join(map(str, arguments)))
    if origin is tuple:
        return _convert_tuple(arguments, value, dotted)
    if kind is float:
        return _convert_float(value, dotted)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise _ill_typed(dotted, value, kind.__name__)


def _convert_tuple(kinds: tuple[Any, ...], value: Any, dotted: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _ill_typed(dotted, value, "a list, e.g. [a, b]")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise _ill_typed(dotted, value, f"{len(kinds)} values")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_convert(kind, one, f"{dotted}[{i}]") for i, (kind, one) in pairs)


def _convert_float(value: Any, dotted: str) -> float:
    # YAML reads 1e-3 (no point) as a string, and true is an int to Python.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _ill_typed(dotted, value, "a finite float")
    return number


def _wants_text(kind: Any) -> bool:
    return kind is str or kind == str | None


def _ill_typed(dotted: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(
        f"{dotted} is {value!r}, a {type(value).__name__}",
        where=dotted,
        do=f"give {wanted}",
    )
