"""Configuration: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naics_graph.config import changed_settings, dump_config, load_config, load_mapping
from naics_graph.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    temperature: float = 0.3
    smoothing: float = 0.05

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"loss.temperature is {self.temperature}; it must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    name: str = "first"
    epochs: int = 3
    rate: float = 1e-3
    lexical: bool = True
    mode: Literal["frozen", "lora", "full"] = "frozen"
    fan_out: tuple[int, ...] = (10, 5)
    window: tuple[int, str] = (1, "a")
    limit: int | None = None
    tag: str | None = None
    loss: Loss = field(default_factory=Loss)


@dataclass(frozen=True, kw_only=True)
class Stored:
    vintage: str
    dims: int = 64


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    enabled: bool = False
    epochs: int = 1


@dataclass(frozen=True, kw_only=True)
class Stage:
    curriculum: Curriculum = field(default_factory=Curriculum)
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Whole(Settings):
    stage: Stage = field(default_factory=Stage)


def yaml_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None = None, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(Settings, path, overrides)
    return caught.value


def test_defaults_then_file_then_overrides(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "epochs: 5\nloss: {temperature: 0.1}\n")
    assert load_config(Settings) == Settings()
    assert load_config(Settings, path) == Settings(epochs=5, loss=Loss(temperature=0.1))
    changed = load_config(Settings, path, ["epochs=7", "loss.smoothing=0"])
    assert changed == Settings(epochs=7, loss=Loss(temperature=0.1, smoothing=0.0))


@pytest.mark.parametrize("text", ["", "# nothing\n", "loss:\n", "loss:\n  # temperature: 0.1\n"])
def test_empty_file_and_empty_section_are_the_defaults(tmp_path: Path, text: str) -> None:
    path = yaml_file(tmp_path, text)
    assert load_config(Settings, path) == Settings()
    assert load_config(Settings, path, ["loss.smoothing=.2"]).loss.smoothing == 0.2


@pytest.mark.parametrize(
    ("override", "name", "expected"),
    [
        ("epochs=7", "epochs", 7),
        ("rate=1e-3", "rate", 1e-3),
        ("rate=2", "rate", 2.0),
        ("lexical=false", "lexical", False),
        ("mode=lora", "mode", "lora"),
        ("fan_out=[4]", "fan_out", (4,)),
        ("fan_out=[]", "fan_out", ()),
        ("window=[2, b]", "window", (2, "b")),
        ("limit=9", "limit", 9),
        ("limit=null", "limit", None),
        ("tag=null", "tag", None),
        ("tag=2022", "tag", "2022"),
        ("name=2022", "name", "2022"),
        ("name=1e3", "name", "1e3"),
        ("name='quoted = text'", "name", "quoted = text"),
        (" name = spaced ", "name", "spaced"),
    ],
)
def test_override_takes_the_type_of_its_field(override: str, name: str, expected: object) -> None:
    value = getattr(load_config(Settings, None, [override]), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("epochs=1.5", "int"),
        ("epochs=true", "int"),
        ("epochs=null", "int"),
        ("rate=fast", "float"),
        ("rate=true", "float"),
        ("rate=.nan", "finite"),
        ("rate=.inf", "finite"),
        ("rate=[1]", "float"),
        ("lexical=1", "bool"),
        ("mode=half", "frozen, lora, full"),
        ("mode=[frozen]", "frozen, lora, full"),
        ("fan_out=10", "list"),
        ("fan_out=[x]", "int"),
        ("window=[1, a, 2]", "2 values"),
        ("limit=many", "int"),
        ("name=null", "str"),
        ("loss=3", "section"),
    ],
)
def test_ill_typed_value_names_key_value_and_type(override: str, wanted: str) -> None:
    error = refusal(None, override)
    key, _, value = override.partition("=")
    assert key in error.where
    assert key in error.saw
    assert value.strip("[].")[:3].lower() in error.saw.lower() or value == "null"
    assert wanted in error.do


def test_literal_keeps_bool_and_int_apart() -> None:
    @dataclass
    class Layers:
        layers: Literal[1, 2] = 1

    assert load_mapping(Layers, {"layers": 2}).layers == 2
    with pytest.raises(ConfigError, match="one of 1, 2"):
        load_mapping(Layers, {"layers": True})


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("epoch", "epochs"),
        ("loss.temprature", "loss.temperature"),
        ("zzz", ""),
        ("", ""),
        ("loss.", "loss."),
    ],
)
def test_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    error = refusal(None, f"{key}=1")
    assert repr(key) in error.saw
    assert f"the nearest key is {nearest}" in error.do


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("temperature", "key is loss.temperature;"),
        ("curriculum.enabled", "key is stage.curriculum.enabled;"),
        ("curriculum.enabld", "key is stage.curriculum;"),
        ("enabled", "keys are stage.enabled, stage.curriculum.enabled;"),
        ("stage.temperature", "key is loss.temperature;"),
        ("loss.epochs", "keys are epochs, stage.curriculum.epochs;"),
        ("stage.epochs", "key is stage.curriculum.epochs;"),
    ],
)
def test_a_key_without_its_section_names_the_keys_that_end_so(key: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Whole, None, [f"{key}=1"])
    assert repr(key) in caught.value.saw
    assert f"the nearest {nearest}" in caught.value.do


def test_unknown_key_in_a_file_that_is_no_string(tmp_path: Path) -> None:
    assert "'7'" in refusal(yaml_file(tmp_path, "7: x\n")).saw


@pytest.mark.parametrize(
    ("override", "saw"),
    [
        ("epochs", "no '='"),
        ("epochs.deep=1", "'epochs' is a value"),
        ("fan_out=[1,", "no YAML value"),
    ],
)
def test_malformed_override(tmp_path: Path, override: str, saw: str) -> None:
    error = refusal(yaml_file(tmp_path, "epochs: 5\n"), override)
    assert saw in error.saw
    assert "--set" in error.where


@pytest.mark.parametrize(
    "content",
    [b"epochs: [1,\n", b"- 1\n- 2\n", b"just words\n", b"\xff\xfe\x00", b"!!python/x y\n"],
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    assert str(path) in refusal(path).where


def test_absent_file_and_folder_are_named(tmp_path: Path) -> None:
    assert "none.yaml" in refusal(tmp_path / "none.yaml").where
    assert str(tmp_path) in refusal(tmp_path).where


def test_a_value_the_component_refuses_keeps_its_message() -> None:
    error = refusal(None, "loss.temperature=-1")
    assert "must be positive" in error.saw
    assert error.where == "loss"


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["epochs=3"],
        ["epochs=7", "loss.smoothing=0.0", "fan_out=[4]", "limit=9", "tag=2022"],
        ["stage.curriculum.enabled=true", "stage.enabled=false", "name='a: [b]'"],
    ],
)
def test_the_settings_that_differ_from_the_defaults_give_the_configuration_again(
    changes: list[str],
) -> None:
    config = load_config(Whole, None, changes)
    told = changed_settings(config)
    keys = [change.partition("=")[0] for change in changes if change != "epochs=3"]
    assert sorted(told) == sorted(keys)
    again = [f"{key}={json.dumps(value)}" for key, value in told.items()]
    assert load_config(Whole, None, again) == config


def test_missing_required_key_is_named() -> None:
    assert load_mapping(Stored, {"vintage": "2022"}) == Stored(vintage="2022")
    with pytest.raises(ConfigError, match="vintage is not set"):
        load_mapping(Stored, {"dims": 3})


@given(
    st.builds(
        Settings,
        name=st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20),
        epochs=st.integers(),
        rate=st.floats(allow_nan=False, allow_infinity=False),
        lexical=st.booleans(),
        mode=st.sampled_from(["frozen", "lora", "full"]),
        fan_out=st.lists(st.integers(), max_size=4).map(tuple),
        limit=st.none() | st.integers(),
        loss=st.builds(Loss, temperature=st.floats(min_value=1e-300, allow_infinity=False)),
    )
)
def test_what_is_dumped_loads_back_equal(tmp_path_factory: object, settings: Settings) -> None:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(dump_config(settings), encoding="utf-8")
    assert load_config(Settings, path) == settings
