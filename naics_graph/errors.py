"""The one error tree. Every error a user can cause says what was seen, where, and what to do."""

from __future__ import annotations

from typing import ClassVar


class NaicsGraphError(Exception):
    """Base of all errors this package raises on purpose.

    Args:
        saw: what was found, as a sentence without its full stop.
        where: the file, sheet, row, database or setting it was found in.
        do: the remedy, as an imperative.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, saw: str, where: str = "", do: str = "") -> None:
        self.saw, self.where, self.do = saw, where, do
        # The same arguments as ours, so that pickle can send an error home from a worker.
        super().__init__(saw, where, do)

    def __str__(self) -> str:
        lines = [self.saw]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.do:
            lines.append(f"  to do: {self.do}")
        return "\n".join(lines)


class UsageError(NaicsGraphError):
    """Flags or arguments that do not fit together."""

    exit_code = 2


class DataError(NaicsGraphError):
    """Input data that cannot be used: workbooks, roles, tables of texts, weights."""

    exit_code = 3


class ConfigError(DataError):
    """An unknown or ill-typed configuration key."""


class DatabaseError(NaicsGraphError):
    """The database is absent, locked, refuses us, or holds what we cannot read."""

    exit_code = 4


class GateFailedError(NaicsGraphError):
    """A stage ended below the gate it had to pass."""

    exit_code = 5


class ArtifactMismatchError(NaicsGraphError):
    """A trained artifact does not belong to the embeddings or the data beside it."""

    exit_code = 6


class PartialFailureError(NaicsGraphError):
    """Some of many items failed; the others were done."""

    exit_code = 7


class OutOfMemoryError(ConfigError):
    """The settings ask for more memory than this machine, or its GPU, has."""


class PeerLostError(NaicsGraphError):
    """Another process of the same training ended; what is wrong is in its message."""
