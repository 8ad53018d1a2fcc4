"""Settings: flag over environment over `.env` over default, and no password in sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from naics_graph import settings
from naics_graph.errors import ConfigError, UsageError

VARIABLES = ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE", "NAICS_GRAPH_HOME")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A working directory without `.env`, an environment without our variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flag_beats_environment_beats_dotenv_beats_default(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert Path(settings.database()) == settings.data_dir() / settings.DATABASE_FILE
    (folder / ".env").write_text("NEO4J_URI=bolt://dotenv\n")
    assert settings.database() == "bolt://dotenv"
    monkeypatch.setenv("NEO4J_URI", "bolt://environment")
    assert settings.database() == "bolt://environment"
    assert settings.database("some.lbug") == "some.lbug"


def test_an_empty_variable_hides_the_dotenv_line(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / ".env").write_text("NEO4J_URI=bolt://dotenv\nNEO4J_USERNAME=\n")
    monkeypatch.setenv("NEO4J_URI", "")
    assert not settings.is_uri(settings.database())
    assert settings.neo4j_auth().username == "neo4j"


def test_credentials_come_from_the_environment_and_dotenv(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert settings.neo4j_auth() == ("neo4j", "", "neo4j")
    (folder / ".env").write_text("NEO4J_PASSWORD='dot env'\nNEO4J_DATABASE=other\n")
    monkeypatch.setenv("NEO4J_USERNAME", "me")
    assert settings.neo4j_auth() == ("me", "dot env", "other")


def test_the_password_never_shows(folder: Path) -> None:
    (folder / ".env").write_text("NEO4J_PASSWORD=swordfish\n")
    auth = settings.neo4j_auth()
    assert auth.password == "swordfish"
    assert "swordfish" not in f"{auth} {auth!r} {[auth]}"


@pytest.mark.parametrize("name", ["", "neo4j:swordfish", "token"])
@pytest.mark.parametrize("scheme", settings.NEO4J_SCHEMES)
def test_credentials_in_an_address_are_refused_unseen(scheme: str, name: str) -> None:
    with pytest.raises(UsageError, match="user name or a password") as caught:
        settings.database(f"{scheme}://{name}@host:7687")
    assert "swordfish" not in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize("scheme", settings.NEO4J_SCHEMES)
def test_known_schemes_are_taken_as_they_are(scheme: str) -> None:
    assert settings.database(f"{scheme}://host:7687") == f"{scheme}://host:7687"


@pytest.mark.parametrize("uri", ["http://host", "postgres://host/x", "bolt://", "://"])
def test_other_addresses_name_the_source_and_the_schemes(
    monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("NEO4J_URI", uri)
    with pytest.raises(UsageError) as caught:
        settings.database()
    assert uri in caught.value.saw
    assert caught.value.where == "NEO4J_URI"
    assert "neo4j+ssc" in caught.value.do


def test_home_moves_everything_and_makes_nothing(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("NAICS_GRAPH_HOME", "here")
    home = folder / "here"
    assert settings.data_dir() == home / "data"
    assert settings.runs_dir() == home / "data" / "runs"
    assert settings.cache_dir() == home / "cache"
    assert settings.vectors_dir() == home / "cache" / "vectors"
    assert settings.database() == str(home / "data" / settings.DATABASE_FILE)
    assert not home.exists()


def test_default_folders_are_apart(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    assert settings.data_dir() != settings.cache_dir()
    assert settings.data_dir().name == settings.APP


def test_a_file_path_in_the_home_folder_is_expanded(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert settings.database("~/x.lbug") == str(folder / "x.lbug")


def test_an_unreadable_dotenv_is_named_and_not_quoted(folder: Path) -> None:
    (folder / ".env").write_bytes(b"NEO4J_PASSWORD=sword\xfffish\n")
    with pytest.raises(ConfigError) as caught:
        settings.neo4j_auth()
    assert ".env" in caught.value.where
    assert "sword" not in str(caught.value)
