"""Where weights are found, in which order, without the network; what is said when they are not."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from naics_graph.encode import weights as weights_module
from naics_graph.encode.weights import DEFAULT_BACKBONE, KNOWN_SHA256, Weights, find_weights
from naics_graph.errors import ArtifactMismatchError, DataError
from tests.encode.hub import Hub
from tests.encode.tiny import write_tiny_model

REPOSITORY = "someone/tiny-model"


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, no package, and a hub nobody answers for; returns the cache."""
    cache = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(weights_module, "PACKAGES", {DEFAULT_BACKBONE: "a-package-not-installed"})
    use_hub(monkeypatch, "http://127.0.0.1:1")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)
    return cache


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Ask the hub at this address: what HF_ENDPOINT sets in a new process."""
    files = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to connect fails the test."""

    def connect(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)


def put_in_cache(cache: Path, tiny_folder: Path, name: str = REPOSITORY) -> Path:
    """Lay a model out as the hub's cache does; returns the snapshot."""
    folder = cache / ("models--" + name.replace("/", "--"))
    snapshot = folder / "snapshots" / "abc"
    shutil.copytree(tiny_folder, snapshot)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc", encoding="utf-8")
    return snapshot


def install_package(site: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution that carries a model and must not be imported; returns its folder."""
    model = site / "tiny_weights" / "model"
    shutil.copytree(tiny_folder, model)
    (site / "tiny_weights" / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    info = site / "tiny_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: tiny-weights\nVersion: 1.0\n", encoding="utf-8")
    files = [p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file()]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files), encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.setattr(weights_module, "PACKAGES", {DEFAULT_BACKBONE: "tiny-weights"})
    return model


def know(monkeypatch: pytest.MonkeyPatch, name: str, sha256: str) -> None:
    monkeypatch.setattr(weights_module, "KNOWN_SHA256", {name: sha256})


@pytest.mark.usefixtures("no_network")
def test_a_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    sha256 = write_tiny_model(tmp_path / "model")
    found = find_weights(str(tmp_path / "model"))
    assert found == Weights(tmp_path / "model", sha256, str(tmp_path / "model"))


@pytest.mark.usefixtures("no_network")
def test_a_folder_in_the_home_folder(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tiny_folder.parent))
    assert find_weights(f"~/{tiny_folder.name}").path == tiny_folder
    assert tmp_path != tiny_folder.parent


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("config.json", "config.json missing"),
        ("model.safetensors", "model.safetensors missing"),
        ("vocab.txt", "tokenizer.json or vocab.txt missing"),
    ],
)
def test_an_incomplete_folder_is_named_with_what_it_lacks(
    tiny_folder: Path, tmp_path: Path, lost: str, said: str
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "model")
    (tmp_path / "model" / lost).unlink()
    with pytest.raises(DataError, match=said) as caught:
        find_weights(str(tmp_path / "model"))
    assert caught.value.where == str(tmp_path / "model")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "~/model", "a/b/c", "", " "])
def test_a_path_that_leads_nowhere_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        find_weights(name)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["bad name", "a..b", "--"])
def test_a_name_no_repository_can_have(name: str) -> None:
    with pytest.raises(DataError, match="neither a folder nor the name of a repository"):
        find_weights(name)


@pytest.mark.usefixtures("no_network")
def test_the_hub_cache_is_read_without_the_network(nothing_here: Path, tiny_folder: Path) -> None:
    snapshot = put_in_cache(nothing_here, tiny_folder)
    found = find_weights(REPOSITORY)
    assert (found.path, found.name) == (snapshot, REPOSITORY)


def test_an_incomplete_snapshot_is_not_used(nothing_here: Path, tiny_folder: Path) -> None:
    (put_in_cache(nothing_here, tiny_folder) / "vocab.txt").unlink()
    with pytest.raises(DataError, match=r"has no tokenizer\.json or vocab\.txt"):
        find_weights(REPOSITORY)


@pytest.mark.usefixtures("no_network")
def test_a_package_is_found_without_importing_it(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = install_package(tmp_path / "site", tiny_folder, monkeypatch)
    know(monkeypatch, DEFAULT_BACKBONE, find_weights(str(tiny_folder)).sha256)
    assert find_weights().path == model
    assert "tiny_weights" not in sys.modules
    assert "sentence_transformers" not in sys.modules


@pytest.mark.usefixtures("no_network")
def test_the_cache_comes_before_the_package(
    nothing_here: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_package(tmp_path / "site", tiny_folder, monkeypatch)
    snapshot = put_in_cache(nothing_here, tiny_folder, DEFAULT_BACKBONE)
    know(monkeypatch, DEFAULT_BACKBONE, find_weights(str(tiny_folder)).sha256)
    assert find_weights().path == snapshot


def test_other_weights_under_a_known_name_are_refused(
    nothing_here: Path, tiny_folder: Path
) -> None:
    snapshot = put_in_cache(nothing_here, tiny_folder, DEFAULT_BACKBONE)
    with pytest.raises(ArtifactMismatchError) as caught:
        find_weights()
    assert KNOWN_SHA256[DEFAULT_BACKBONE] in caught.value.saw
    assert caught.value.where == str(snapshot / "model.safetensors")
    assert caught.value.exit_code == 6
    # The same files named by their folder are the user's own model.
    assert find_weights(str(snapshot)).path == snapshot


def assert_names_three_ways(error: DataError, name: str) -> None:
    assert name in error.saw
    assert error.exit_code == 3
    lines = error.do.splitlines()
    assert [line.strip()[:2] for line in lines[1:]] == ["1.", "2.", "3."]
    assert "pip install" in lines[1]
    assert "hub" in lines[2]
    assert "--set backbone.name=FOLDER" in lines[3]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", [DEFAULT_BACKBONE, REPOSITORY])
def test_offline_names_three_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match="HF_HUB_OFFLINE") as caught:
        find_weights(name)
    assert_names_three_ways(caught.value, name)


def test_a_hub_out_of_reach_names_three_ways() -> None:
    with pytest.raises(DataError, match="the hub gave") as caught:
        find_weights(REPOSITORY)
    assert_names_three_ways(caught.value, REPOSITORY)


def test_what_is_on_the_hub_is_fetched_once(
    tiny_folder: Path, nothing_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_folder.parent / "pytorch_model.bin").write_bytes(b"not needed")
    with Hub(REPOSITORY, tiny_folder) as hub:
        use_hub(monkeypatch, hub.url)
        found = find_weights(REPOSITORY)
        assert found.sha256 == find_weights(str(tiny_folder)).sha256
        assert nothing_here in found.path.parents
        asked = len(hub.requests)
        assert find_weights(REPOSITORY) == found
        assert len(hub.requests) == asked


def test_a_repository_that_is_not_there_names_three_ways(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub("someone/else", tiny_folder) as hub:
        use_hub(monkeypatch, hub.url)
        with pytest.raises(DataError, match="no public repository of this name") as caught:
            find_weights(REPOSITORY)
    assert_names_three_ways(caught.value, REPOSITORY)


def test_a_repository_without_safetensors_says_so(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    with Hub(REPOSITORY, tmp_path / "old") as hub:
        use_hub(monkeypatch, hub.url)
        with pytest.raises(DataError, match=r"has no model\.safetensors"):
            find_weights(REPOSITORY)
