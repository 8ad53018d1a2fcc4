"""The four official workbooks of a vintage, from the Census Bureau's site into the user cache.

    CACHE/census/2022/*.xlsx         complete and read as one valid vintage
    CACHE/census/2022/fetched.json   name, address, bytes and sha256 of each: written last
    CACHE/census/.2022.part/         what is being fetched

The Bureau republishes the workbooks now and then: an unknown sha256 is reported, never refused, as
long as the workbooks read as one valid vintage.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from naics_graph import settings
from naics_graph.errors import DataError, UsageError
from naics_graph.taxonomy.census import workbook_names
from naics_graph.taxonomy.download import DownloadError, Retry, download

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int], None]
"""Called as (file, bytes so far, bytes in all); what the stores' operations call, too."""

CENSUS_URL: Final = "https://www.census.gov"
RECORD: Final = "fetched.json"

KNOWN_SHA256: Final[Mapping[str, str]] = {
    "2-6 digit_2022_Codes.xlsx": "be12ba41002803359f49181c9bf33a03fbd08578f4f4a4c0bbad7aadaaea0316",
    "2022_NAICS_Cross_References.xlsx": (
        "3c50c3bfa9d76862aea471cc8831fd726f0b978619d833e48c54a749d9622144"
    ),
    "2022_NAICS_Descriptions.xlsx": (
        "6222c4d87dcf984970e0ff8a49862ed54b546b089d03956be3f285900cd3d66c"
    ),
    "2022_NAICS_Index_File.xlsx": (
        "4d42c6dae281ed2ad346aba667e731d4c7ecbae3ae769955f732216a1ba33e42"
    ),
    "2-6 digit_2017_Codes.xlsx": "177cd3e97fd8e9926016a89f1e18345d37aa03422de6cc9f6afaa0e6897cc191",
    "2017_NAICS_Cross_References.xlsx": (
        "27ce3b8530b46385d6512ed82d27c7ddaf9529881adb6527b4a78f3f254ef4d7"
    ),
    "2017_NAICS_Descriptions.xlsx": (
        "dbf320991b1ab31e3f8475faa075bd4426dfcdcb0055c2e7c7d45ebe9a6bbb7d"
    ),
    "2017_NAICS_Index_File.xlsx": (
        "f78fb892b59f9d15c7f351702b5ee5260daace9b8cdb5db0305ba00eb69759ff"
    ),
}
"""Of the workbooks this program was tested with."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One workbook in the cache. `known`: its sha256 is in `KNOWN_SHA256`."""

    name: str
    url: str
    bytes: int
    sha256: str
    known: bool


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What is in the cache now. `fetched` is False when it was there already."""

    vintage: str
    folder: Path
    files: tuple[FetchedFile, ...]
    fetched: bool


def fetch_vintage(
    vintage: str,
    *,
    base_url: str = CENSUS_URL,
    force: bool = False,
    retry: Retry | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Fetch, check and put in place the workbooks of a vintage; do nothing when they are there.

    Args:
        vintage: four digits.
        base_url: the site; the files are at /naics/<vintage>NAICS/ on it.
        force: fetch again what is there. The old files stay until the new ones are valid.
        retry: how often to try, and how long to wait.
        progress: called as (file, bytes so far, bytes in all).

    Raises:
        UsageError: the vintage is no year.
        DataError: no connection, a refusal, or workbooks that do not read as this vintage.
    """
    try:
        return _fetch_locked(vintage, base_url, force, retry or Retry(), progress)
    except DownloadError as error:
        raise DataError(
            error.saw, where=error.where, do=f"{error.do}; or, {_by_hand(vintage)}"
        ) from error
    except OSError as error:
        raise DataError(
            f"the cache cannot be written: {error.strerror or error}",
            where=str(error.filename or cache_folder(vintage)),
            do="make room there, or set NAICS_GRAPH_HOME to a folder you can write",
        ) from error


def fetched_folder(vintage: str) -> Path:
    """The folder with the fetched workbooks of a vintage.

    Raises:
        DataError: they were not fetched, or changed since.
    """
    folder = cache_folder(vintage)
    if _recorded(folder, vintage) is None:
        raise DataError(
            f"the workbooks of NAICS {vintage} were not fetched, or changed since",
            where=str(folder),
            do=f"run `naics-graph fetch --vintage {vintage}`, or load with --source DIR",
        )
    return folder


def cache_folder(vintage: str) -> Path:
    """Where the fetched workbooks of a vintage live.

    Raises:
        UsageError: the vintage is no year.
    """
    if not re.fullmatch(r"\d{4}", vintage):
        raise UsageError(f"{vintage!r} is no vintage", where="--vintage", do="give a year: 2022")
    return settings.cache_dir() / "census" / vintage


def _fetch_locked(
    vintage: str, base_url: str, force: bool, retry: Retry, progress: Progress | None
) -> FetchReport:
    import httpx
    from filelock import FileLock, Timeout

    folder = cache_folder(vintage)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.parent / f".{vintage}.lock", timeout=0):
            present = None if force else _recorded(folder, vintage)
            if present is not None:
                return present
            with httpx.Client(follow_redirects=True, timeout=30.0) as client:
                return _fetch(client, vintage, base_url, retry, progress)
    except Timeout:
        raise DataError(
            f"another process is fetching NAICS {vintage}",
            where=str(folder.parent),
            do="wait until it is done, then run the command again",
        ) from None


def _fetch(
    client: httpx.Client, vintage: str, base_url: str, retry: Retry, progress: Progress | None
) -> FetchReport:
    staging = cache_folder(vintage).with_name(f".{vintage}.part")
    files: list[FetchedFile] = []
    for name in workbook_names(vintage):
        url = f"{base_url.rstrip('/')}/naics/{vintage}NAICS/{quote(name)}"
        target = staging / name
        if not target.exists():
            report = None if progress is None else functools.partial(progress, name)
            download(client, url, target, retry=retry, report=report)
        sha256 = _sha256(target)
        known = sha256 == KNOWN_SHA256.get(name)
        files.append(FetchedFile(name, url, target.stat().st_size, sha256, known))
    _validate(staging, vintage)
    folder = _put_in_place(staging, vintage, files)
    return FetchReport(vintage, folder, tuple(files), fetched=True)


def _by_hand(vintage: str) -> str:
    return (
        "without a network here, get the four workbooks in a browser from the Census Bureau's site "
        f"(path /naics/{vintage}NAICS/: {', '.join(workbook_names(vintage))}), put them into a "
        f"folder and run `naics-graph load --vintage {vintage} --source DIR`"
    )


def _validate(staging: Path, vintage: str) -> None:
    from naics_graph.taxonomy.sources import read_taxonomy

    try:
        read_taxonomy(staging, vintage, None)
    except DataError as error:
        # Keeping them would make every later fetch stumble over the same bytes.
        shutil.rmtree(staging)
        raise DataError(
            f"what the server sent is no valid NAICS {vintage}: {error.saw}",
            where=error.where,
            do="try again later (a proxy may answer with a page of its own), or get the workbooks "
            "in a browser and load them with --source DIR",
        ) from error


def _put_in_place(staging: Path, vintage: str, files: list[FetchedFile]) -> Path:
    folder = cache_folder(vintage)
    folder.mkdir(exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    for file in files:
        (staging / file.name).replace(folder / file.name)
    record = [dataclasses.asdict(file) for file in files]
    (staging / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (staging / RECORD).replace(folder / RECORD)
    shutil.rmtree(staging)
    return folder


def _recorded(folder: Path, vintage: str) -> FetchReport | None:
    """The fetched workbooks, or None when there are none or their bytes changed."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = tuple(FetchedFile(**entry) for entry in record)
        intact = all(_sha256(folder / file.name) == file.sha256 for file in files)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return FetchReport(vintage, folder, files, fetched=False) if intact and files else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
