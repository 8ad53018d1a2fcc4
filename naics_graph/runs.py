"""Runs are directories: resolved config first, then metrics, checkpoints, the final artifact.

    RUN/data.json, RUN/config.yaml      written before work starts; the second makes it a run
    RUN/metrics.jsonl                   one record per epoch of a stage
    RUN/steps.jsonl                     one record per step, on GPUs
    RUN/tensorboard/STAGE               the figures of both; every stage counts its own steps
    RUN/events.jsonl                    what happened between them: a switch of the curriculum
    RUN/checkpoints/STAGE/EPOCH.safetensors + EPOCH.json
    RUN/artifact                        written last

Checkpoints are safetensors with a JSON file beside them, never pickle. A file appears whole or not
at all.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naics_graph.errors import ArtifactMismatchError, DataError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file({name: value.detach().contiguous() for name, value in tensors.items()}, temporary)


def tensors_below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State after a whole number of epochs of one stage."""

    epoch: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunData:
    """What a run is trained on: a vintage, and the version of its loaded graph."""

    vintage: str
    version: str


class Run:
    """One run's directory.

    Args:
        folder: the directory; its name is the run's id, and of the embedding set it publishes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._boards: dict[str, SummaryWriter] = {}
        self._purge: dict[str, int] = {}

    @classmethod
    def create(cls, folder: Path, config: str, data: RunData | None = None) -> Run:
        """Start a run: make the directory, write what it is trained on and the resolved settings.

        Args:
            folder: to make.
            config: YAML.
            data: None where nobody will resume the run on other data.

        Raises:
            DataError: the name is no run id, or the directory holds a run already.
        """
        if not RUN_ID.fullmatch(folder.name):
            raise DataError(
                f"{folder.name!r} is no run id",
                where=str(folder.parent),
                do="use letters, digits, '.', '_' and '-', starting with a letter or digit",
            )
        run = cls(folder)
        if run.config_file.exists():
            raise DataError(
                f"the run {folder.name} exists already",
                where=str(folder),
                do=f"continue it with --resume {folder.name}, or choose another --run name",
            )
        if data is not None:
            write_json(run.data_file, dataclasses.asdict(data))
        # Last: a run that is killed before this is none, and its name is free.
        with replacing(run.config_file) as temporary:
            temporary.write_text(config, encoding="utf-8")
        return run

    @classmethod
    def resume(cls, folder: Path) -> Run:
        """Open an existing run to continue it.

        Raises:
            DataError: there is no run in the directory.
        """
        run = cls(folder)
        if not run.config_file.exists():
            raise DataError(
                f"there is no run {folder.name}",
                where=str(folder.parent),
                do="start one without --resume; the runs are the folders there",
            )
        return run

    def data(self) -> RunData:
        """What the run was started on.

        Raises:
            ArtifactMismatchError: data.json is missing or damaged.
        """
        try:
            raw = json.loads(self.data_file.read_text(encoding="utf-8"))
            return RunData(str(raw["vintage"]), str(raw["version"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactMismatchError(
                f"what the run was started on cannot be read: {error!r}",
                where=str(self.data_file),
                do="start a new run under another --run name: this one cannot be continued",
            ) from error

    def require_data(self, seen: RunData) -> None:
        """Refuse to continue on other data than the run was started on.

        Raises:
            ArtifactMismatchError: the vintage or the loaded graph differs, or data.json is missing.
        """
        recorded = self.data()
        if recorded != seen:
            raise ArtifactMismatchError(
                f"the database holds {_said(seen)}, the run was started on {_said(recorded)}",
                where=str(self.folder),
                do="load the data the run was started on, or start a new run",
            )

    @property
    def id(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def config_file(self) -> Path:
        """The resolved configuration."""
        return self.folder / "config.yaml"

    @property
    def data_file(self) -> Path:
        """Vintage and version of the graph it is trained on."""
        return self.folder / "data.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object per line: stage, epoch, step and values."""
        return self.folder / "metrics.jsonl"

    @property
    def steps_file(self) -> Path:
        """The same for single steps, where these are logged: memory of a GPU."""
        return self.folder / "steps.jsonl"

    @property
    def events_file(self) -> Path:
        """One JSON object per line: stage, epoch, step and what happened before that step."""
        return self.folder / "events.jsonl"

    @property
    def artifact(self) -> Path:
        """The final artifact's folder."""
        return self.folder / "artifact"

    def log(self, stage: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Append one record to metrics.jsonl and TensorBoard."""
        self._log(self.metrics_file, stage, epoch, step, values)
        # Else what was logged in two minutes would be lost with a killed process.
        self._boards[stage].flush()

    def log_step(self, stage: str, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Append one record to steps.jsonl and TensorBoard; `epoch` counts the running one."""
        self._log(self.steps_file, stage, epoch, step, values)

    def log_event(self, stage: str, epoch: int, step: int, event: str) -> None:
        """Append one record to events.jsonl; `epoch` counts the one whose checkpoint holds it."""
        _append(self.events_file, {"stage": stage, "epoch": epoch, "step": step, "event": event})

    def _log(
        self, path: Path, stage: str, epoch: int, step: int, values: Mapping[str, float]
    ) -> None:
        _append(path, {"stage": stage, "epoch": epoch, "step": step, **values})
        board = self._board(stage)
        for name, value in values.items():
            board.add_scalar(f"{stage}/{name}", value, step)

    def save_checkpoint(
        self, stage: str, epoch: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Store the state after `epoch` epochs; the JSON comes last and marks it complete."""
        folder = self.folder / "checkpoints" / stage
        save_tensors(folder / f"{epoch}.safetensors", tensors)
        write_json(folder / f"{epoch}.json", dict(state))
        for older in folder.glob("*.json"):
            if int(older.stem) < epoch - 1:
                older.unlink()
                older.with_suffix(".safetensors").unlink(missing_ok=True)

    def latest_checkpoint(self, stage: str) -> Checkpoint | None:
        """The last complete checkpoint of a stage; drops the metrics logged after it.

        Raises:
            ArtifactMismatchError: the checkpoint's tensors are missing or unreadable.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        epochs = [int(p.stem) for p in (self.folder / "checkpoints" / stage).glob("*.json")]
        epoch = max(epochs, default=0)
        self._forget_metrics_after(stage, epoch)
        if not epochs:
            return None
        path = self.folder / "checkpoints" / stage / f"{epoch}.json"
        try:
            tensors = load_file(path.with_suffix(".safetensors"))
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise ArtifactMismatchError(
                f"the checkpoint cannot be read: {error}",
                where=str(path),
                do=f"delete {path.name} to continue from the one before, or start a new run",
            ) from error
        return Checkpoint(epoch, tensors, state)

    def close(self) -> None:
        """Flush TensorBoard."""
        while self._boards:
            _, board = self._boards.popitem()
            board.close()

    def _forget_metrics_after(self, stage: str, epoch: int) -> None:
        last = 0
        for path in (self.metrics_file, self.steps_file, self.events_file):
            if not path.exists():
                continue
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if not _is_later(line, stage, epoch)]
            if len(kept) < len(lines):
                with replacing(path) as temporary:
                    temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            records = map(json.loads, kept)
            last = max([last, *(one["step"] for one in records if one["stage"] == stage)])
        self._purge[stage] = last + 1

    def _board(self, stage: str) -> SummaryWriter:
        """The stage's writer, whose figures hide those that were logged after the checkpoint."""
        if stage not in self._boards:
            from torch.utils.tensorboard import SummaryWriter

            self._boards[stage] = SummaryWriter(
                str(self.folder / "tensorboard" / stage), purge_step=self._purge.get(stage)
            )
        return self._boards[stage]


def _said(data: RunData) -> str:
    return f"vintage {data.vintage} in version {data.version[:12]}"


def _append(path: Path, record: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _is_later(line: str, stage: str, epoch: int) -> bool:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        # The last line of a killed run may be torn.
        return True
    return bool(record["stage"] == stage and record["epoch"] > epoch)
