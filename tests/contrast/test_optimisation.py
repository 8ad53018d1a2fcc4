"""What moves the weights of stage 3: rates, decay, clipping, what is dropped or read anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.optimisation import one_cycle
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import FINETUNE, ContrastTrainer, build_space
from naics_graph.encode.backbone import BackboneConfig, load_backbone
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.finetune import FineTuneConfig, TunedBackbone
from naics_graph.encode.reader import TextReader
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy
from tests.encode.tiny import write_tiny_model


@pytest.fixture(scope="module")
def data() -> ContrastData:
    return ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)


def trained(data: ContrastData, **changes: Any) -> CodeSpace:
    """The space after an epoch of a changed training."""
    config = dataclasses.replace(CONFIG, epochs=1, **changes)
    return ContrastTrainer(config, data, None, 0).train()


@pytest.mark.parametrize(
    "change",
    [
        {"lexical": dataclasses.replace(CONFIG.lexical, dropout=0.0)},
        {"lexical": dataclasses.replace(CONFIG.lexical, learning_rate=5e-3)},
        {"objective": dataclasses.replace(CONFIG.objective, smoothing=0.0)},
        {"warmup": 0.5},
        {"weight_decay": 0.0},
        {"gradient_norm": 0.01},
        {"refresh_every": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_training_with_another_setting_ends_elsewhere(
    data: ContrastData, change: dict[str, Any]
) -> None:
    ours, others = (
        nn.utils.parameters_to_vector(space.parameters())
        for space in (trained(data), trained(data, **change))
    )
    assert not torch.equal(ours, others)


@pytest.mark.parametrize(
    ("progress", "warmup", "factor"),
    [
        (0.0, 0.25, 0.02),
        (0.125, 0.25, 0.5),
        (0.25, 0.25, 1.0),
        (0.5, 0.25, 0.75),
        (0.625, 0.25, 0.5),
        (1.0, 0.25, 0.0),
        (0.0, 0.0, 1.0),
        (0.5, 0.0, 0.5),
    ],
)
def test_one_cycle_is_a_line_up_and_half_a_cosine_down(
    progress: float, warmup: float, factor: float
) -> None:
    assert one_cycle(progress, warmup) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("warmup", "factors"),
    [
        (0.25, [0.02, 0.5, 1.0, 0.93301, 0.75, 0.5, 0.25, 0.06699]),
        (0.5, [0.02, 0.25, 0.5, 0.75, 1.0, 0.85355, 0.5, 0.14645]),
    ],
)
def test_all_rates_of_a_training_go_through_one_cycle(
    data: ContrastData, warmup: float, factors: list[float]
) -> None:
    trainer = ContrastTrainer(
        dataclasses.replace(CONFIG, epochs=2, warmup=warmup), data, None, seed=0
    )
    asked = [group["lr"] for group in trainer.optimiser.param_groups]
    used = []

    def note(_what: str, _done: int, _total: int) -> None:
        used.append([group["lr"] for group in trainer.optimiser.param_groups])

    trainer.train(note)
    expected = [[factor * rate for rate in asked] for factor in factors]
    assert torch.tensor(used).numpy() == pytest.approx(torch.tensor(expected).numpy(), rel=1e-4)


MATRICES = (
    "text_map.project",
    "text_map.shortcut",
    "text_map.mixture.into",
    "text_map.mixture.out",
    "text_map.mixture.router.weight",
    "text_map.head.weight",
)
SMALL = (
    "log_temperature",
    "log_scale",
    "text_map.channel",
    "text_map.mixture.into_bias",
    "text_map.mixture.out_bias",
    "text_map.norm.weight",
    "text_map.norm.bias",
    "text_map.fused_norm.weight",
    "text_map.fused_norm.bias",
    "text_map.head.bias",
)


def test_each_parameter_has_the_rate_of_its_kind_and_only_matrices_decay(
    tmp_path: Path, data: ContrastData
) -> None:
    write_tiny_model(tmp_path)
    config = dataclasses.replace(
        CONFIG,
        learning_rate=1e-3,
        residual_rate=2e-3,
        lexical=dataclasses.replace(CONFIG.lexical, learning_rate=3e-3),
        finetune=FineTuneConfig(learning_rate=4e-3, lora_rank=2),
        weight_decay=0.25,
    )
    space = build_space(config, data, 0)
    backbone = load_backbone(BackboneConfig(name=str(tmp_path)))
    space.reader.backbone = TunedBackbone(backbone, "lora", config.finetune)
    trainer = ContrastTrainer(config, data, None, 0, start=space, stage=FINETUNE)
    names = {p: name for name, p in space.named_parameters() if p.requires_grad}
    found = {
        names.pop(p): (group["lr"], group["weight_decay"])
        for group in trainer.optimiser.param_groups
        for p in group["params"]
    }
    assert not names
    adapters = [name for name in found if name.startswith("reader.backbone.")]
    assert adapters
    assert found == {
        **dict.fromkeys(MATRICES, (1e-3, 0.25)),
        **dict.fromkeys(SMALL, (1e-3, 0.0)),
        "residual": (2e-3, 0.0),
        "reader.lexical.table": (3e-3, 0.0),
        **dict.fromkeys(adapters, (4e-3, 0.25)),
    }


def test_of_a_whole_backbone_biases_and_norms_do_not_decay(
    tmp_path: Path, data: ContrastData
) -> None:
    write_tiny_model(tmp_path)
    backbone = load_backbone(BackboneConfig(name=str(tmp_path)))
    config = dataclasses.replace(CONFIG, finetune=FineTuneConfig(learning_rate=4e-3))
    space = build_space(config, data, 0)
    space.reader.backbone = tuned = TunedBackbone(backbone, "full", config.finetune)
    trainer = ContrastTrainer(config, data, None, 0, start=space, stage=FINETUNE)
    decay = {
        p: group["weight_decay"]
        for group in trainer.optimiser.param_groups
        for p in group["params"]
        if group["lr"] == 4e-3
    }
    assert set(decay) == set(tuned.model.parameters())
    small = {name for name, p in tuned.model.named_parameters() if decay[p] == 0.0}
    ends = ("bias", "LayerNorm.weight")
    assert small == {name for name, _ in tuned.model.named_parameters() if name.endswith(ends)}
    assert {decay[p] for p in decay} == {0.0, config.weight_decay}


def test_a_gradient_beyond_the_limit_is_cut_to_it_and_keeps_its_direction(
    data: ContrastData,
) -> None:
    def gradient(limit: float) -> Tensor:
        space = trained(data, gradient_norm=limit, batch_size=len(data.query_code))
        return torch.cat([p.grad.flatten() for p in space.parameters() if p.grad is not None])

    whole = gradient(1e9)
    limit = 0.1 * float(whole.norm())
    cut = gradient(limit)
    assert float(cut.norm()) == pytest.approx(limit, rel=1e-4)
    torch.testing.assert_close(cut, 0.1 * whole, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("refresh_every", "times"), [(1, 8), (3, 4), (8, 2)])
def test_the_channels_are_read_anew_every_so_many_steps_and_in_every_epoch(
    data: ContrastData, monkeypatch: pytest.MonkeyPatch, refresh_every: int, times: int
) -> None:
    channels, read = ContrastData.channels, []

    def counted(data: ContrastData, reader: TextReader) -> ChannelFeatures:
        read.append(reader)
        return channels(data, reader)

    monkeypatch.setattr(ContrastData, "channels", counted)
    config = dataclasses.replace(CONFIG, epochs=2, refresh_every=refresh_every)
    ContrastTrainer(config, data, None, 0).train()
    assert data.steps_per_epoch(config.batch_size) == 4
    assert len(read) == times
