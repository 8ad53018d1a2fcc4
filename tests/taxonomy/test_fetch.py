"""The workbooks of a vintage fetched into the cache, from a site on loopback."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from filelock import FileLock

from naics_graph.errors import DataError, UsageError
from naics_graph.taxonomy import fetch
from naics_graph.taxonomy.census import layouts, workbook_names
from naics_graph.taxonomy.download import Retry
from naics_graph.taxonomy.sources import read_taxonomy
from tests.taxonomy.site import Site, serving

VINTAGE = "2031"
TITLES = [("11", "Farms"), ("111", "Crops"), ("1111", "Grain"), ("11111", "Rye"), ("111110", "Rye")]
AT_ONCE = Retry(attempts=3, backoff=0.0)


def tiny_workbooks(vintage: str, extra_title: str = "") -> dict[str, bytes]:
    """The four files of a vintage with five codes, by name."""
    titles = [(code, title + extra_title) for code, title in TITLES]
    rows = [
        titles,
        [(code, f"This is {title.lower()}.") for code, title in TITLES],
        [("111110", "Rye farming"), ("111110", "Triticale farming")],
        [("111", "Cross-References.")],
    ]
    return {
        layout.file: _workbook(layout.sheet, layout.code, layout.text, rows[i])
        for i, layout in enumerate(layouts(vintage))
    }


def _workbook(sheet: str, code: str, text: str, rows: list[tuple[str, str]]) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in [(code, text), *rows]:
        page.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def paths(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"/naics/{VINTAGE}NAICS/{name}": body for name, body in files.items()}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NAICS_GRAPH_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(paths(tiny_workbooks(VINTAGE))) as site:
        yield site


def run(site: Site, *, force: bool = False) -> fetch.FetchReport:
    return fetch.fetch_vintage(VINTAGE, base_url=site.url, force=force, retry=AT_ONCE)


def test_fetched_files_are_recorded_and_load(site: Site, home: Path) -> None:
    site.faults = ["drop", 500]
    report = run(site)
    assert report.fetched
    assert report.folder == home / "cache" / "census" / VINTAGE == fetch.fetched_folder(VINTAGE)
    assert [file.name for file in report.files] == list(workbook_names(VINTAGE))
    for file in report.files:
        body = site.files[f"/naics/{VINTAGE}NAICS/{file.name}"]
        assert (report.folder / file.name).read_bytes() == body
        assert (file.bytes, file.sha256) == (len(body), hashlib.sha256(body).hexdigest())
        assert not file.known
    record = json.loads((report.folder / fetch.RECORD).read_text())
    assert [entry["sha256"] for entry in record] == [file.sha256 for file in report.files]
    assert len(read_taxonomy(report.folder, VINTAGE, None).industries) == len(TITLES)
    assert not list(report.folder.parent.glob("*.part"))


def test_what_is_there_is_not_fetched_again(site: Site) -> None:
    first = run(site)
    site.ranges.clear()
    again = run(site)
    assert site.ranges == []
    assert (again.files, again.fetched) == (first.files, False)
    (first.folder / first.files[2].name).write_bytes(b"changed")
    with pytest.raises(DataError, match="changed since"):
        fetch.fetched_folder(VINTAGE)
    assert run(site).fetched
    assert len(site.ranges) == 4


def test_force_replaces_and_a_bad_answer_leaves_the_old(site: Site) -> None:
    old = run(site)
    site.files = dict.fromkeys(site.files, b"<html>Log in to the network")
    with pytest.raises(DataError, match="no valid NAICS 2031"):
        run(site, force=True)
    assert fetch.fetched_folder(VINTAGE) == old.folder
    # What was refused is not kept: the next try fetches it anew.
    site.files = paths(tiny_workbooks(VINTAGE, " and more"))
    site.etag = '"v2"'
    new = run(site, force=True)
    assert new.files != old.files
    assert read_taxonomy(new.folder, VINTAGE, None).industries[0].title == "Farms and more"


def test_an_interrupted_fetch_keeps_the_files_it_has(site: Site) -> None:
    site.faults = ["ok", "ok", 500, 500, 500]
    with pytest.raises(DataError) as caught:
        run(site)
    assert workbook_names(VINTAGE)[2].split("_")[-1] in caught.value.where
    with pytest.raises(DataError, match="not fetched"):
        fetch.fetched_folder(VINTAGE)
    site.ranges.clear()
    run(site)
    assert len(site.ranges) == 2


def test_no_connection_says_how_to_do_without() -> None:
    with serving({}) as closed:
        pass
    with pytest.raises(DataError) as caught:
        run(closed)
    for word in ("/naics/2031NAICS/", *workbook_names(VINTAGE), "--source DIR", "browser"):
        assert word in caught.value.do


def test_another_process_fetching_is_named(site: Site, home: Path) -> None:
    (home / "cache" / "census").mkdir(parents=True)
    with (
        FileLock(home / "cache" / "census" / f".{VINTAGE}.lock"),
        pytest.raises(DataError, match="another process"),
    ):
        run(site)


def test_a_cache_that_cannot_be_written_is_named(site: Site, home: Path) -> None:
    (home / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cache cannot be written") as caught:
        run(site)
    assert "NAICS_GRAPH_HOME" in caught.value.do


@pytest.mark.parametrize("vintage", ["", "22", "../2022", "twenty"])
def test_no_vintage(vintage: str) -> None:
    with pytest.raises(UsageError, match="no vintage"):
        fetch.fetch_vintage(vintage)


@pytest.mark.census
@pytest.mark.parametrize("vintage", ["2017", "2022"])
def test_known_hashes_are_those_of_the_workbooks(census_dir: Path, vintage: str) -> None:
    for name in workbook_names(vintage):
        found = hashlib.sha256((census_dir / vintage / name).read_bytes()).hexdigest()
        assert found == fetch.KNOWN_SHA256[name]
