"""Where things live and which database is meant: environment, then `.env`, then the default.

`.env` is the one in the working directory. A variable that is set but empty counts as not set, and
hides the `.env` line of the same name. Nothing here creates a folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from naics_graph.errors import ConfigError, UsageError

NEO4J_SCHEMES: Final = ("neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc")
DATABASE_FILE: Final = "naics.lbug"
APP: Final = "naics-graph"


class Neo4jAuth(NamedTuple):
    """Who we are to a Neo4j server. `password` is "" when none is set; it never shows in `repr`."""

    username: str
    password: str
    database: str

    def __repr__(self) -> str:
        return f"Neo4jAuth(username={self.username!r}, password=***, database={self.database!r})"


def data_dir() -> Path:
    """What must survive: the embedded database and the runs."""
    import platformdirs

    home = _home()
    return home / "data" if home else platformdirs.user_data_path(APP, appauthor=False)


def cache_dir() -> Path:
    """What can be made or fetched again: workbooks, vectors."""
    import platformdirs

    home = _home()
    return home / "cache" if home else platformdirs.user_cache_path(APP, appauthor=False)


def runs_dir() -> Path:
    """One folder per training run; the artifact of embedding set ID is `ID/artifact` in it."""
    return data_dir() / "runs"


def vectors_dir() -> Path:
    """The backbone's vectors by content hash."""
    return cache_dir() / "vectors"


def is_uri(database: str) -> bool:
    """Whether a database is a server's address rather than a file."""
    return "://" in database


def database(flag: str | None = None) -> str:
    """The database meant: the flag, else NEO4J_URI, else a file in the data folder.

    Raises:
        UsageError: an address with an unknown scheme, or with a password in it.
    """
    if flag:
        return _checked(flag, where="--database")
    uri = variable("NEO4J_URI")
    if uri:
        return _checked(uri, where="NEO4J_URI")
    return str(data_dir() / DATABASE_FILE)


def neo4j_auth() -> Neo4jAuth:
    """Credentials from NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE."""
    return Neo4jAuth(
        username=variable("NEO4J_USERNAME") or "neo4j",
        password=variable("NEO4J_PASSWORD") or "",
        database=variable("NEO4J_DATABASE") or "neo4j",
    )


def variable(name: str) -> str | None:
    """A setting from the environment, else from `.env`; None when unset or empty."""
    if name in os.environ:
        return os.environ[name] or None
    return _dotenv().get(name) or None


def _home() -> Path | None:
    value = variable("NAICS_GRAPH_HOME")
    return Path(value).expanduser().absolute() if value else None


def _dotenv() -> Mapping[str, str | None]:
    path = Path(".env")
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the file cannot be read: {type(error).__name__}",
            where=str(path.absolute()),
            do="make it readable UTF-8 text of NAME=value lines, or remove it",
        ) from None


def _checked(value: str, *, where: str) -> str:
    if not is_uri(value):
        return str(Path(value).expanduser())
    parts = urlsplit(value)
    if "@" in parts.netloc:
        # Never shown: the part before the @ may hold a password.
        raise UsageError(
            "the address carries a user name or a password",
            where=where,
            do="leave them out; set NEO4J_USERNAME and NEO4J_PASSWORD (environment or .env)",
        )
    if parts.scheme not in NEO4J_SCHEMES or not parts.netloc:
        raise UsageError(
            f"{value!r} is no address of a graph database",
            where=where,
            do=f"give a file, or a host with one of the schemes {', '.join(NEO4J_SCHEMES)}",
        )
    return value
