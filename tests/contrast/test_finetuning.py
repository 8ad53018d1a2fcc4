"""Stage 3 with a backbone that learns after the frozen epochs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.contrast.config import (
    ContrastConfig,
    for_finetuning,
    for_frozen,
    for_settling,
)
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.finetuning import Spaces, train_space
from naics_graph.contrast.trainer import FINETUNE, SETTLE, STAGE
from naics_graph.distributed import World
from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.finetune import FineTuneConfig, Tokens, TunedBackbone
from naics_graph.encode.reader import TextReader
from naics_graph.errors import ArtifactMismatchError
from naics_graph.runs import Run
from naics_graph.store.contract import Progress
from tests.encode.tiny import write_tiny_model
from tests.processes import run_processes

from .test_training import CONFIG, small_taxonomy


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return load_backbone(BackboneConfig(name=str(folder)))


@pytest.fixture(scope="module")
def data(backbone: Backbone) -> ContrastData:
    return ContrastData.of(small_taxonomy(), backbone, CONFIG.lexical).with_tokens(backbone)


def config(mode: Literal["frozen", "lora", "full"], averaging: float = 0.0) -> ContrastConfig:
    tune = FineTuneConfig(
        mode=mode,
        frozen_epochs=1,
        epochs=2,
        batch_size=40,
        lora_rank=2,
        learning_rate=1e-3,
        settle_epochs=1,
    )
    return dataclasses.replace(CONFIG, epochs=1, averaging=averaging, finetune=tune)


def trained(
    folder: Path,
    data: ContrastData,
    backbone: Backbone,
    settings: ContrastConfig,
    progress: Progress | None = None,
) -> Spaces:
    run = Run(folder) if (folder / "config.yaml").exists() else Run.create(folder, "")
    try:
        return train_space(settings, data, run, 0, lambda: backbone, progress=progress)
    finally:
        run.close()


def weights(spaces: Spaces) -> Tensor:
    assert spaces.tuned is not None
    learned = [*spaces.space.parameters(), *spaces.tuned.parameters()]
    return torch.cat([p.detach().flatten().double() for p in learned])


@pytest.mark.parametrize(
    ("part", "share"), [(for_finetuning, "head_rate"), (for_settling, "settle_rate")]
)
def test_a_later_part_takes_its_share_of_the_three_rates_and_of_nothing_else(
    part: Callable[[ContrastConfig], ContrastConfig], share: str
) -> None:
    tune = FineTuneConfig(head_rate=0.25, settle_rate=0.125)
    whole = dataclasses.replace(CONFIG, finetune=tune)
    later, k = part(whole), float(getattr(tune, share))
    assert later.learning_rate == k * whole.learning_rate
    assert later.residual_rate == k * whole.residual_rate
    rate = k * whole.lexical.learning_rate
    assert later.lexical == dataclasses.replace(whole.lexical, learning_rate=rate)
    # What a part decides for itself: how long it is, when it ends, and that no phases are left.
    own = {"epochs", "batch_size", "early_stopping", "curriculum"}
    for field in dataclasses.fields(ContrastConfig):
        if field.name not in own | {"learning_rate", "residual_rate", "lexical"}:
            assert getattr(later, field.name) == getattr(whole, field.name), field.name


def test_what_is_measured_is_what_the_modes_do() -> None:
    """The rows "fine-tuned" and "LoRA" of benchmarks/training.py set the mode alone."""
    parts = [part(ContrastConfig()) for part in (for_frozen, for_finetuning, for_settling)]
    assert [(part.epochs, part.batch_size) for part in parts] == [(4, 256), (2, 256), (4, 256)]
    assert [part.learning_rate for part in parts] == [5e-3, 2.5e-3, 2.5e-3]


@pytest.mark.parametrize(
    ("mode", "batch_size", "epochs"),
    [("frozen", 20, {STAGE: 3}), ("lora", 40, {STAGE: 1, FINETUNE: 2, SETTLE: 1})],
)
def test_a_backbone_that_learns_has_epochs_and_batches_of_its_own(
    tmp_path: Path,
    data: ContrastData,
    backbone: Backbone,
    mode: Literal["frozen", "lora"],
    batch_size: int,
    epochs: dict[str, int],
) -> None:
    settings = dataclasses.replace(config(mode), epochs=3)
    trained(tmp_path / "run", data, backbone, settings)
    lines = Run(tmp_path / "run").metrics_file.read_text().splitlines()
    steps = data.steps_per_epoch(batch_size)
    assert [(one["stage"], one["epoch"], one["step"]) for one in map(json.loads, lines)] == [
        (stage, epoch, epoch * steps)
        for stage, count in epochs.items()
        for epoch in range(1, count + 1)
    ]


def test_the_channels_are_read_once_an_epoch_while_the_backbone_learns(
    tmp_path: Path, data: ContrastData, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = TunedBackbone.forward

    def counted(tuned: TunedBackbone, tokens: Tokens, channel: Tensor) -> Tensor:
        read.append(len(tokens))
        return forward(tuned, tokens, channel)

    monkeypatch.setattr(TunedBackbone, "forward", counted)
    settings = dataclasses.replace(config("full"), refresh_every=1)
    trained(tmp_path / "run", data, backbone, settings)
    queries, channels = len(data.query_code), len(data.texts.texts)
    epochs = settings.finetune.epochs
    # Both are read once more when the backbone has learned.
    assert sum(read) == (epochs + 1) * (queries + channels)


@pytest.mark.parametrize("mode", ["lora", "full"])
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_backbone_and_head_both_learn(
    tmp_path: Path,
    data: ContrastData,
    backbone: Backbone,
    mode: Literal["lora", "full"],
    averaging: float,
) -> None:
    frozen = trained(tmp_path / "frozen", data, backbone, config("frozen", averaging))
    assert frozen.tuned is None
    assert frozen.data is data
    tuned = trained(tmp_path / "tuned", data, backbone, config(mode, averaging))
    assert not torch.equal(tuned.space.text_map.project, frozen.space.text_map.project)
    vectors, before = tuned.data.query_inputs.vectors, data.query_inputs.vectors
    assert not torch.allclose(vectors, before, atol=1e-4)
    assert tuned.tuned is not None
    assert data.query_inputs.tokens is not None
    with torch.no_grad():
        again = tuned.tuned(data.query_inputs.tokens, data.query_channel)
    assert torch.equal(again, vectors)


def test_what_the_backbone_has_learned_is_read_once_and_settled_on(
    tmp_path: Path, data: ContrastData, backbone: Backbone
) -> None:
    settings = config("full")
    tune = dataclasses.replace(settings.finetune, settle_epochs=0)
    unsettled = dataclasses.replace(settings, finetune=tune)
    read = []

    def freeze(reader: TextReader) -> ContrastData:
        read.append(data.frozen(reader))
        return read[-1]

    run = Run.create(tmp_path / "run", "")
    settled = train_space(settings, data, run, 0, lambda: backbone, freeze=freeze)
    run.close()
    assert len(read) == 1
    assert settled.data is read[0]
    assert settled.data.query_inputs.tokens is None
    short = trained(tmp_path / "short", data, backbone, unsettled)
    assert settled.tuned is not None
    assert short.tuned is not None
    for one, other in zip(settled.tuned.parameters(), short.tuned.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(settled.space.residual, short.space.residual)


def test_weights_depend_on_the_seed_alone(
    tmp_path: Path, data: ContrastData, backbone: Backbone
) -> None:
    torch.manual_seed(1)
    first = weights(trained(tmp_path / "a", data, backbone, config("lora")))
    torch.manual_seed(2)
    assert torch.equal(first, weights(trained(tmp_path / "b", data, backbone, config("lora"))))


def test_a_run_broken_while_it_fine_tunes_ends_bit_for_bit_where_an_unbroken_one_does(
    tmp_path: Path, data: ContrastData, backbone: Backbone
) -> None:
    class StopError(Exception):
        pass

    steps = data.steps_per_epoch(40)
    whole = weights(trained(tmp_path / "whole", data, backbone, config("lora")))
    for broken in (("fine-tuning", 1), ("fine-tuning", steps + 1), ("settling", 1)):

        def stop(what: str, done: int, _total: int, at: tuple[str, int] = broken) -> None:
            if (what, done) == at:
                raise StopError

        folder = tmp_path / "broken-{}-{}".format(*broken)
        with pytest.raises(StopError):
            trained(folder, data, backbone, config("lora"), stop)
        assert torch.equal(weights(trained(folder, data, backbone, config("lora"))), whole)
    assert (folder / "checkpoints" / FINETUNE).is_dir()
    assert (folder / "checkpoints" / SETTLE).is_dir()


def shared(world: World, folder: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """All weights, and the queries as the backbone that learned reads them, in one process."""
    backbone = load_backbone(BackboneConfig(name=folder))
    data = ContrastData.of(small_taxonomy(), backbone, CONFIG.lexical).with_tokens(backbone)
    slow = dataclasses.replace(config("full"), learning_rate=1e-4, residual_rate=1e-4)
    spaces = train_space(slow, data, None, 0, lambda: backbone, world=world)
    return weights(spaces).numpy(), spaces.data.query_inputs.vectors.numpy()


def told_apart(world: World, folders: list[str]) -> ArtifactMismatchError:
    """What a process says whose backbone differs from another's, before anything is trained."""
    backbone = load_backbone(BackboneConfig(name=folders[world.rank]))
    data = ContrastData.of(small_taxonomy(), backbone, CONFIG.lexical).with_tokens(backbone)
    with pytest.raises(ArtifactMismatchError) as caught:
        train_space(config("full"), data, None, 0, lambda: backbone, progress=no_step, world=world)
    return caught.value


def no_step(what: str, done: int, total: int) -> None:
    raise AssertionError(f"{what}: step {done} of {total}")


def test_processes_with_different_backbones_all_stop_and_name_both(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    one, other = (write_tiny_model(folder, seed) for seed, folder in enumerate(folders))
    for error in run_processes(told_apart, 2, list(map(str, folders))):
        assert error.saw.endswith(f"sha256 {one} in process 0 and {other} in process 1")
        assert error.exit_code == 6


def test_processes_fine_tune_and_settle_as_one_does(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    learned, read = shared(World(), str(tmp_path))
    (first, vectors), (second, its_vectors) = run_processes(shared, 2, str(tmp_path))
    assert (first == second).all()
    assert (vectors == its_vectors).all()
    assert np.linalg.norm(first - learned) < 1e-4 * np.linalg.norm(learned)
    assert np.abs(vectors - read).max() < 1e-5
