"""One file over HTTP: progress, retry with backoff, resume by range, never a half file in place.

What arrives goes to `NAME.part`. An interrupted download goes on from there when the server named a
version of the file (a strong ETag, else Last-Modified, kept in `NAME.part.version`) and still has
that version; otherwise it starts again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from naics_graph.errors import DataError

if TYPE_CHECKING:
    import httpx

Report = Callable[[int, int], None]
"""Called as (bytes so far, bytes in all or 0 when the server does not say)."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try one file, and how long to wait before try n = 2, 3, ….

    The wait is `backoff`·2^(n-2) seconds and up to half of that again, at random. A try that
    brought new bytes starts the count again.
    """

    attempts: int = 5
    backoff: float = 1.0

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        return self.backoff * float(2 ** (failures - 1)) * random.uniform(1.0, 1.5)


class DownloadError(DataError):
    """A file that the server refuses, or that could not be fetched in all the tries."""


class _TransientError(Exception):
    """A failure that another try may mend."""


def download(
    client: httpx.Client,
    url: str,
    target: Path,
    *,
    retry: Retry | None = None,
    report: Report | None = None,
) -> None:
    """Fetch `url` into `target`, which appears whole or not at all.

    Raises:
        DownloadError: the server refuses, or cannot be reached after every try.
    """
    retry = retry or Retry()
    part = _Part(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = part.size
        try:
            _attempt(client, url, part, report)
        except _TransientError as error:
            failures = 1 if part.size > before else failures + 1
            if failures >= retry.attempts:
                raise DownloadError(
                    f"the download failed: {error}",
                    where=url,
                    do="check the connection and run it again: it goes on where it stopped",
                ) from error
            time.sleep(retry.wait(failures))
        else:
            part.finish()
            return


class _Part:
    """The file being received and the server's name for its version."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._version = target.with_name(target.name + ".part.version")

    @property
    def size(self) -> int:
        """Bytes received, 0 when there is no part."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str | None:
        """The version the bytes belong to; without one they cannot be continued."""
        return self._version.read_text(encoding="utf-8") if self._version.exists() else None

    def restart(self, version: str | None) -> None:
        """Drop what is there and name the version that comes."""
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)
        if version:
            self._version.write_text(version, encoding="utf-8")

    def finish(self) -> None:
        """Put the whole file in place."""
        self.path.touch()
        self.path.replace(self.target)
        self._version.unlink(missing_ok=True)


def _attempt(client: httpx.Client, url: str, part: _Part, report: Report | None) -> None:
    import httpx

    # Compressed lengths would match neither the range nor the total.
    headers = {"Accept-Encoding": "identity"}
    if part.size and part.version:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version}
    with _transient(), client.stream("GET", url, headers=headers) as response:
        total = _accept(response, part, url)
        done = part.size
        with part.path.open("ab") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                if report is not None:
                    report(done, total)
        if total and done != total:
            part.restart(None)
            raise httpx.RemoteProtocolError(f"{done:,} bytes arrived of {total:,}")


@contextmanager
def _transient() -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.RequestError as error:
        raise _TransientError(str(error) or type(error).__name__) from error


def _accept(response: httpx.Response, part: _Part, url: str) -> int:
    """Prepare the part for the body of a good response; return the file's size, 0 if unknown."""
    status = response.status_code
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match is not None and int(match[1]) == part.size:
            return 0 if match[2] == "*" else int(match[2])
        part.restart(None)
        raise _TransientError("the server sent another range than the one asked for")
    if status == 200:
        part.restart(_version_of(response))
        return int(response.headers.get("Content-Length", 0))
    if status == 416:
        part.restart(None)
        raise _TransientError("the file is shorter than what was received of it")
    if status >= 500 or status in (408, 429):
        raise _TransientError(f"the server answered {status} {response.reason_phrase}")
    raise DownloadError(
        f"the server answered {status} {response.reason_phrase}",
        where=url,
        do="check that the vintage exists and that the network lets the address through",
    )


def _version_of(response: httpx.Response) -> str | None:
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    modified: str | None = response.headers.get("Last-Modified")
    return modified
