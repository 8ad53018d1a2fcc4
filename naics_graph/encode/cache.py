"""Vectors kept on disk by content, so that a text is encoded once.

One folder per model and reading (weights, token limit, pooling). In it, immutable segments: `.npz`
files with text hashes (n, 16) uint8 and vectors (n, h) float32, whose checksums betray damage. A
writer adds a segment by atomic rename, so readers and writers of several processes need no lock;
many small segments are merged into one, which is in place before they are removed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from naics_graph.encode.backbone import Backbone, require_texts
from naics_graph.store.contract import Progress

_FORMAT: Final = 1
_HASH_BYTES: Final = 16
_MOST_SEGMENTS: Final = 16
_CHUNK: Final = 4096
"""Texts encoded between two writes: what an interrupted run loses at most."""

_log = logging.getLogger(__name__)


class _Segment(NamedTuple):
    hashes: NDArray[np.uint8]
    vectors: NDArray[np.float32]


class CachedBackbone:
    """A backbone that looks in a folder before it encodes. Made for one thread at a time.

    The folder is a convenience: damaged segments are dropped, an unwritable folder is gone without,
    both with a warning in the log.
    """

    def __init__(self, backbone: Backbone, folder: Path) -> None:
        self.backbone = backbone
        self.folder = folder / _key(backbone)
        self._row: dict[bytes, int] = {}
        self._vectors = np.zeros((0, backbone.hidden_size), dtype=np.float32)
        self._read: set[str] = set()

    @property
    def sha256(self) -> str:
        """sha256 of the weights file."""
        return self.backbone.sha256

    @property
    def hidden_size(self) -> int:
        """Width h of a vector."""
        return self.backbone.hidden_size

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Unit vectors of texts, (n, h), as `Backbone.encode` gives them.

        Raises:
            DataError: an item is not a string.
        """
        hashes = [_hash(text) for text in require_texts(texts)]
        if not all(h in self._row for h in hashes):
            self._refresh()
        missing = {h: text for h, text in zip(hashes, texts, strict=True) if h not in self._row}
        self._fill(missing, progress)
        return self._vectors[[self._row[h] for h in hashes]]

    def _fill(self, missing: dict[bytes, str], progress: Progress | None) -> None:
        # Long and short chunks would defeat the backbone's sorting by length, so sort here as well.
        todo = sorted(missing.items(), key=lambda item: (-len(item[1]), item[0]))
        for start in range(0, len(todo), _CHUNK):
            chunk = todo[start : start + _CHUNK]
            vectors = self.backbone.encode(
                [text for _, text in chunk], _shifted(progress, start, len(todo))
            )
            hashes = np.frombuffer(b"".join(h for h, _ in chunk), dtype=np.uint8)
            segment = _Segment(hashes.reshape(-1, _HASH_BYTES), vectors)
            self._add([segment])
            self._store(segment)

    def _add(self, segments: Sequence[_Segment]) -> None:
        row = len(self._vectors)
        for segment in segments:
            for h in segment.hashes:
                self._row[h.tobytes()] = row
                row += 1
        self._vectors = np.concatenate([self._vectors, *(s.vectors for s in segments)])

    def _refresh(self) -> None:
        """Read the segments written since the last look, by whichever process."""
        paths = sorted(p for p in self.folder.glob("*.npz") if p.name not in self._read)
        found = [s for s in (_read(path, self.hidden_size) for path in paths) if s is not None]
        self._read.update(path.name for path in paths)
        if found:
            self._add(found)

    def _store(self, segment: _Segment) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._read.add(_write(self.folder, segment))
            self._merge()
        except OSError as error:
            _log.warning("vectors are not kept in %s: %s", self.folder, error)

    def _merge(self) -> None:
        paths = list(self.folder.glob("*.npz"))
        if len(paths) <= _MOST_SEGMENTS:
            return
        self._refresh()
        hashes = np.frombuffer(b"".join(self._row), dtype=np.uint8).reshape(-1, _HASH_BYTES)
        vectors = self._vectors[list(self._row.values())]
        self._read.add(_write(self.folder, _Segment(hashes, vectors)))
        for path in paths:
            path.unlink(missing_ok=True)


def _key(backbone: Backbone) -> str:
    config = backbone.config
    parts = (_FORMAT, backbone.sha256, config.max_tokens, config.pooling)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest()


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda what, done, _: progress(what, start + done, total)


def _write(folder: Path, segment: _Segment) -> str:
    """Put a segment in place whole or not at all; returns its file name."""
    name = f"{uuid.uuid4().hex}.npz"
    temporary = folder / f"{name}.tmp"
    try:
        with temporary.open("wb") as file:
            np.savez(file, hashes=segment.hashes, vectors=segment.vectors)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / name)
    finally:
        temporary.unlink(missing_ok=True)
    return name


def _read(path: Path, width: int) -> _Segment | None:
    """A segment; None when another process merged it away, or when it is damaged (and dropped)."""
    try:
        # Opened here: numpy leaves a file it cannot read open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            segment = _Segment(file["hashes"], file["vectors"])
        if (
            segment.hashes.shape == (len(segment.vectors), _HASH_BYTES)
            and segment.hashes.dtype == np.uint8
            and segment.vectors.shape == (len(segment.hashes), width)
            and segment.vectors.dtype == np.float32
        ):
            return segment
        reason = "unexpected shapes"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error)
    _log.warning("damaged vectors in %s are dropped and made again: %s", path, reason)
    path.unlink(missing_ok=True)
    return None
