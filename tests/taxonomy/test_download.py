"""Downloads against a site on loopback that fails in every way a site can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from naics_graph.taxonomy.download import DownloadError, Retry, download
from tests.taxonomy.site import Fault, Site, serving

BODY = bytes(range(256)) * 400
HALF = len(BODY) // 2
AT_ONCE = Retry(attempts=3, backoff=0.0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def site() -> Iterator[Site]:
    with serving({"/a b.xlsx": BODY}) as site:
        yield site


def fetch(site: Site, target: Path, path: str = "/a%20b.xlsx", retry: Retry = AT_ONCE) -> bytes:
    with httpx.Client() as client:
        download(client, site.url + path, target, retry=retry)
    return target.read_bytes()


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        ([], [None]),
        ([500, 500], [None] * 3),
        ([503, 429], [None] * 3),
        (["drop"], [None, f"bytes={HALF}-"]),
        (["drop", 500, "drop"], [None, *[f"bytes={HALF}-"] * 2, f"bytes={HALF + HALF // 2}-"]),
        (["drop", "ignore-range"], [None, f"bytes={HALF}-"]),
        (["drop", "ignore-range", "ok"], [None, f"bytes={HALF}-"]),
        (["drop", "wrong-range"], [None, f"bytes={HALF}-", None]),
        (["drop", 416], [None, f"bytes={HALF}-", None]),
        (["no-version"], [None, None]),
    ],
)
def test_a_faulty_site_still_gives_the_whole_file(
    site: Site, tmp_path: Path, faults: list[Fault], ranges: list[str | None]
) -> None:
    site.faults = list(faults)
    assert fetch(site, tmp_path / "a.xlsx") == BODY
    assert site.ranges == ranges
    assert only(tmp_path) == ["a.xlsx"]


def test_a_later_run_goes_on_where_the_first_stopped(site: Site, tmp_path: Path) -> None:
    site.faults = ["drop", 500, 500]
    with pytest.raises(DownloadError, match="500"):
        fetch(site, tmp_path / "a.xlsx")
    assert (tmp_path / "a.xlsx.part").read_bytes() == BODY[:HALF]
    assert not (tmp_path / "a.xlsx").exists()
    site.ranges.clear()
    assert fetch(site, tmp_path / "a.xlsx") == BODY
    assert site.ranges == [f"bytes={HALF}-"]


def test_a_file_republished_in_between_is_fetched_from_the_start(
    site: Site, tmp_path: Path
) -> None:
    site.faults = ["drop", 500, 500]
    with pytest.raises(DownloadError):
        fetch(site, tmp_path / "a.xlsx")
    site.files["/a b.xlsx"] = BODY[::-1]
    site.etag = '"v2"'
    assert fetch(site, tmp_path / "a.xlsx") == BODY[::-1]


def test_a_server_that_always_drops_is_given_up(site: Site, tmp_path: Path) -> None:
    site.faults = ["no-version"] * 9
    with pytest.raises(DownloadError) as caught:
        fetch(site, tmp_path / "a.xlsx")
    # The first try brought bytes, the others no more than the one before.
    assert len(site.ranges) == 3
    assert caught.value.where == site.url + "/a%20b.xlsx"


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_not_tried_again(site: Site, tmp_path: Path, status: int) -> None:
    site.faults = [status]
    with pytest.raises(DownloadError, match=str(status)):
        fetch(site, tmp_path / "a.xlsx")
    assert len(site.ranges) == 1
    assert only(tmp_path) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with serving({}) as closed:
        pass
    with pytest.raises(DownloadError, match="download failed"):
        fetch(closed, tmp_path / "a.xlsx")


def test_progress_counts_resumed_bytes(site: Site, tmp_path: Path) -> None:
    site.faults = ["drop"]
    seen: list[tuple[int, int]] = []
    with httpx.Client() as client:
        download(
            client,
            site.url + "/a%20b.xlsx",
            tmp_path / "a.xlsx",
            retry=AT_ONCE,
            report=lambda done, total: seen.append((done, total)),
        )
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {len(BODY)}


def test_an_empty_file_is_a_file(site: Site, tmp_path: Path) -> None:
    site.files["/empty"] = b""
    assert fetch(site, tmp_path / "empty", "/empty") == b""


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_waits_double_and_are_spread(failures: int) -> None:
    waits = [Retry(backoff=2.0).wait(failures) for _ in range(200)]
    assert min(waits) >= 2.0**failures
    assert max(waits) <= 1.5 * 2.0**failures
    assert len(set(waits)) > 100
