"""The error tree: one exit code each, and a message of what was seen, where, and what to do."""

from __future__ import annotations

import copy
import pickle

import pytest

from naics_graph import errors
from naics_graph.errors import NaicsGraphError

EXIT_CODES = {
    "NaicsGraphError": 1,
    "UsageError": 2,
    "DataError": 3,
    "ConfigError": 3,
    "DatabaseError": 4,
    "GateFailedError": 5,
    "ArtifactMismatchError": 6,
    "PartialFailureError": 7,
    "OutOfMemoryError": 3,
    "PeerLostError": 1,
}


def test_every_error_has_its_exit_code() -> None:
    kinds = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, NaicsGraphError)
    }
    assert kinds == EXIT_CODES


@pytest.mark.parametrize(
    ("where", "do", "lines"),
    [
        ("", "", ["saw it"]),
        ("a file", "", ["saw it", "  where: a file"]),
        ("", "mend it", ["saw it", "  to do: mend it"]),
        ("a file", "mend it", ["saw it", "  where: a file", "  to do: mend it"]),
    ],
)
def test_message_has_a_line_for_each_part(where: str, do: str, lines: list[str]) -> None:
    assert str(NaicsGraphError("saw it", where=where, do=do)).splitlines() == lines


@pytest.mark.parametrize("name", EXIT_CODES)
def test_errors_survive_copy_and_pickle(name: str) -> None:
    """Data-loader workers and process pools send errors home by pickle."""
    error: NaicsGraphError = getattr(errors, name)("saw it", where="here", do="mend it")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
