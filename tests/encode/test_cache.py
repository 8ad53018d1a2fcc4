"""The cache gives what the backbone gives, asks it once, and survives what happens to files."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from naics_graph.encode import cache as cache_module
from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.cache import CachedBackbone
from naics_graph.errors import DataError
from naics_graph.store.contract import Progress
from tests.encode.test_backbone import some_texts
from tests.encode.tiny import HIDDEN, write_tiny_model


class Counting(CachedBackbone):
    """Records how many texts reach the backbone."""

    def count(self, texts: list[str]) -> tuple[NDArray[np.float32], int]:
        """Vectors, and the number of texts that were not in the cache."""
        seen: list[int] = []
        progress: Progress = lambda _what, _done, total: seen.append(total)  # noqa: E731
        vectors = self.encode(texts, progress)
        return vectors, max(seen, default=0)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.npz"))


def test_vectors_are_those_of_the_backbone(tiny: Backbone, tmp_path: Path) -> None:
    texts = [*some_texts(20), "", "dog", "dog"]
    cached = CachedBackbone(tiny, tmp_path)
    assert (cached.hidden_size, cached.sha256) == (HIDDEN, tiny.sha256)
    for _ in range(2):
        np.testing.assert_allclose(cached.encode(texts), tiny.encode(texts), atol=1e-6)


def test_each_text_is_encoded_once_also_by_the_next_process(tiny: Backbone, tmp_path: Path) -> None:
    texts = some_texts(20)
    first, encoded = Counting(tiny, tmp_path).count([*texts, *texts])
    assert encoded == len(set(texts))
    later = Counting(tiny, tmp_path)
    again, encoded = later.count(texts)
    assert encoded == 0
    np.testing.assert_array_equal(again, first[:20])
    assert later.count([*texts, "steel mills of steel"])[1] == 1


def test_texts_that_differ_in_anything_are_kept_apart(tiny: Backbone, tmp_path: Path) -> None:
    cached = Counting(tiny, tmp_path)
    cached.encode(["steel mills"])
    assert cached.count(["Steel mills", "steel  mills", "steel\udce9mills"])[1] == 3


def test_no_texts(tiny: Backbone, tmp_path: Path) -> None:
    assert CachedBackbone(tiny, tmp_path).encode([]).shape == (0, HIDDEN)
    assert not segments(tmp_path)


def test_another_reading_or_model_finds_nothing(
    tiny: Backbone, tiny_folder: Path, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "other", seed=1)
    CachedBackbone(tiny, tmp_path / "vectors").encode(["dog"])
    for config in (
        BackboneConfig(name=str(tiny_folder), max_tokens=23),
        BackboneConfig(name=str(tiny_folder), max_tokens=24, pooling="cls"),
        BackboneConfig(name=str(tmp_path / "other"), max_tokens=24),
    ):
        assert Counting(load_backbone(config), tmp_path / "vectors").count(["dog"])[1] == 1
    batch_size_only = BackboneConfig(name=str(tiny_folder), max_tokens=24, batch_size=1)
    assert Counting(load_backbone(batch_size_only), tmp_path / "vectors").count(["dog"])[1] == 0


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def narrow(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(
            file, hashes=np.zeros((1, 16), np.uint8), vectors=np.zeros((1, HIDDEN - 1), np.float32)
        )


def foreign(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, other=np.zeros(1))


@pytest.mark.parametrize("damage", [cut, flip, empty, narrow, foreign])
def test_damaged_vectors_are_made_again_with_a_warning(
    tiny: Backbone,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: object,
) -> None:
    assert callable(damage)
    texts = some_texts(10)
    expected = CachedBackbone(tiny, tmp_path).encode(texts)
    (segment,) = segments(tmp_path)
    damage(segment)
    with caplog.at_level(logging.WARNING):
        vectors, encoded = Counting(tiny, tmp_path).count(texts)
    np.testing.assert_array_equal(vectors, expected)
    assert encoded == 10
    assert str(segment) in caplog.text
    caplog.clear()
    assert Counting(tiny, tmp_path).count(texts)[1] == 0
    assert not caplog.records


def test_a_half_written_file_is_never_read(tiny: Backbone, tmp_path: Path) -> None:
    cached = CachedBackbone(tiny, tmp_path)
    cached.encode(["dog"])
    (segment,) = segments(tmp_path)
    torn = segment.with_name("torn.npz.tmp")
    torn.write_bytes(segment.read_bytes()[:50])
    assert Counting(tiny, tmp_path).count(["dog"])[1] == 0


def test_an_unwritable_folder_costs_only_the_keeping(
    tiny: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf-8")
    cached = Counting(tiny, blocked)
    with caplog.at_level(logging.WARNING):
        vectors, _ = cached.count(["dog", "mills"])
    np.testing.assert_allclose(vectors, tiny.encode(["dog", "mills"]), atol=1e-6)
    assert str(blocked) in caplog.text
    assert cached.count(["dog"])[1] == 0


def test_small_segments_are_merged_and_nothing_is_lost(tiny: Backbone, tmp_path: Path) -> None:
    texts = sorted(set(some_texts(60)))
    cached = CachedBackbone(tiny, tmp_path)
    for text in texts:
        cached.encode([text])
        assert len(segments(tmp_path)) <= cache_module._MOST_SEGMENTS
    vectors, encoded = Counting(tiny, tmp_path).count(texts)
    assert encoded == 0
    np.testing.assert_allclose(vectors, tiny.encode(texts), atol=1e-6)


def test_a_merge_keeps_what_others_wrote_meanwhile(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MOST_SEGMENTS", 1)
    one, other = CachedBackbone(tiny, tmp_path), CachedBackbone(tiny, tmp_path)

    def write(_what: str, _done: int, _total: int) -> None:
        other.encode(["wheat farming"])

    # The other writes while this one encodes, after it last looked into the folder.
    one.encode(["steel mills"], write)
    assert len(segments(tmp_path)) == 1
    assert Counting(tiny, tmp_path).count(["wheat farming", "steel mills"])[1] == 0


def test_writers_at_the_same_time(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Merging at every third file makes writers delete under each other's eyes.
    monkeypatch.setattr(cache_module, "_MOST_SEGMENTS", 2)
    texts = sorted(set(some_texts(48)))
    expected = dict(zip(texts, tiny.encode(texts), strict=True))
    wrong: list[str] = []

    def write(offset: int) -> None:
        cached = CachedBackbone(tiny, tmp_path)
        wrong.extend(
            text
            for text in texts[offset:] + texts[:offset]
            if np.abs(cached.encode([text])[0] - expected[text]).max() > 1e-6
        )

    threads = [threading.Thread(target=write, args=(12 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not list(tmp_path.glob("*/*.tmp"))
    vectors, encoded = Counting(tiny, tmp_path).count(texts)
    assert encoded == 0
    np.testing.assert_allclose(vectors, tiny.encode(texts), atol=1e-6)


def test_progress_counts_the_missing_texts(
    tiny: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_CHUNK", 5)
    cached = CachedBackbone(tiny, tmp_path)
    cached.encode(["dog", "mills"])
    calls: list[tuple[int, int]] = []
    texts = [f"{word} of steel" for word in "abcdefgh"]
    cached.encode([*texts, "dog"], lambda _what, done, total: calls.append((done, total)))
    assert calls == [(4, 8), (5, 8), (8, 8)]


def test_anything_but_text_is_refused(tiny: Backbone, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="text 1"):
        CachedBackbone(tiny, tmp_path).encode(["dog", None])  # type: ignore[list-item]
