"""The backbone in training: what it starts as, what learns, that batching changes nothing."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.finetune import (
    ADAPTERS,
    FineTuneConfig,
    Tokens,
    TunedBackbone,
    for_channel,
)
from naics_graph.errors import ArtifactMismatchError
from naics_graph.taxonomy.model import CHANNELS

from .tiny import write_tiny_model

TEXTS = ["growing soybeans", "", "dog", "growing soybeans dog dog growing", "  ", "soybeans"]
CHANNEL = torch.tensor([2, 2, 0, 1, 0, 3])
CONFIG = FineTuneConfig(lora_rank=2)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return load_backbone(BackboneConfig(name=str(folder)))


def gradient(tuned: TunedBackbone, tokens: Tokens) -> Tensor:
    tuned.zero_grad()
    vectors = tuned(tokens, CHANNEL)
    (vectors * torch.linspace(-1, 1, vectors.numel()).view_as(vectors)).sum().backward()
    return torch.cat([p.grad.flatten() for p in tuned.learned().values() if p.grad is not None])


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_it_starts_as_the_frozen_backbone(
    backbone: Backbone, mode: Literal["lora", "full"]
) -> None:
    vectors = TunedBackbone(backbone, mode, CONFIG)(Tokens.of(backbone, TEXTS), CHANNEL)
    torch.testing.assert_close(
        vectors.detach(), torch.from_numpy(backbone.encode(TEXTS)), atol=1e-5, rtol=0
    )
    assert not vectors[1].any()


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_micro_batches_and_recomputing_change_no_gradient(
    backbone: Backbone, mode: Literal["lora", "full"]
) -> None:
    tokens = Tokens.of(backbone, TEXTS)
    torch.manual_seed(0)
    whole = TunedBackbone(backbone, mode, CONFIG)
    expected = gradient(whole, tokens)
    assert expected.abs().sum() > 0
    for change in ({"tokens": 1}, {"recompute": True}, {"tokens": 8, "recompute": True}):
        torch.manual_seed(0)
        other = TunedBackbone(backbone, mode, dataclasses.replace(CONFIG, **change))
        torch.testing.assert_close(gradient(other, tokens), expected, atol=1e-6, rtol=1e-4)


def test_no_text_is_padded_to_more_than_twice_its_length(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens.of(backbone, ["dog", "growing soybeans", "dog " * 30, "soybeans " * 40])
    tuned = TunedBackbone(backbone, "full", CONFIG)
    read = []
    forward = tuned.model.forward

    def seen(*, attention_mask: Tensor, **options: Tensor) -> object:
        read.append((len(attention_mask), float(attention_mask.double().mean(dim=1).min())))
        return forward(attention_mask=attention_mask, **options)

    monkeypatch.setattr(tuned.model, "forward", seen)
    tuned(tokens, torch.zeros(len(tokens), dtype=torch.int64))
    assert sum(rows for rows, _ in read) == len(tokens)
    assert min(share for _, share in read) >= 0.5
    assert len(read) < len(tokens)


def test_half_precision_is_near_and_reads_in_full(backbone: Backbone) -> None:
    tokens = Tokens.of(backbone, TEXTS)
    exact = TunedBackbone(backbone, "full", CONFIG)
    half = TunedBackbone(backbone, "full", dataclasses.replace(CONFIG, precision="bfloat16"))
    expected, found = gradient(exact, tokens), gradient(half, tokens)
    assert not torch.equal(found, expected)
    assert torch.nn.functional.cosine_similarity(found, expected, dim=0) > 0.99
    with torch.no_grad():
        assert torch.equal(half(tokens, CHANNEL), exact(tokens, CHANNEL))


def test_full_moves_all_weights_and_lora_only_the_adapters_that_were_read(
    backbone: Backbone,
) -> None:
    full = TunedBackbone(backbone, "full", CONFIG)
    assert len(full.learned()) == len(list(full.model.parameters()))
    lora = TunedBackbone(backbone, "lora", CONFIG)
    names = {name for name, p in lora.model.named_parameters() if p.requires_grad}
    assert names
    assert all("lora_" in name for name in names)
    lora(Tokens.of(backbone, TEXTS[:1]), torch.tensor([2])).sum().backward()
    moved = {n for n, p in lora.model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved
    assert all(f".{CHANNELS[2]}." in name for name in moved)


def test_training_leaves_the_backbone_it_started_from_alone(backbone: Backbone) -> None:
    before = backbone.encode(TEXTS)
    tuned = TunedBackbone(backbone, "full", CONFIG)
    with torch.no_grad():
        for parameter in tuned.learned().values():
            parameter.add_(0.1)
    assert (backbone.encode(TEXTS) == before).all()


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_a_saved_backbone_reads_a_channel_as_the_tuned_one_does(
    backbone: Backbone, mode: Literal["lora", "full"], tmp_path: Path
) -> None:
    tuned = TunedBackbone(backbone, mode, CONFIG)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in tuned.learned().values():
            parameter.add_(0.05 * torch.randn_like(parameter))
    tuned.save(tmp_path / "saved", backbone.tokenizer, "examples")
    again = load_backbone(BackboneConfig(name=str(tmp_path / "saved")))
    channel = torch.full((len(TEXTS),), CHANNELS.index("examples"))
    expected = tuned(Tokens.of(backbone, TEXTS), channel).detach()
    torch.testing.assert_close(torch.from_numpy(again.encode(TEXTS)), expected, atol=1e-5, rtol=0)
    assert abs(again.encode(TEXTS) - backbone.encode(TEXTS)).max() > 1e-3


def saved_adapters(backbone: Backbone, folder: Path) -> TunedBackbone:
    """A backbone whose adapters all differ, saved as it reads examples."""
    tuned = TunedBackbone(backbone, "lora", CONFIG)
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in tuned.learned().values():
            parameter.add_(0.05 * torch.randn_like(parameter))
    tuned.save(folder / "saved", backbone.tokenizer, "examples")
    return tuned


def test_a_backbone_for_another_channel_reads_as_the_tuned_one_does(
    backbone: Backbone, tmp_path: Path
) -> None:
    tuned, tokens = saved_adapters(backbone, tmp_path), Tokens.of(backbone, TEXTS)
    merged = load_backbone(BackboneConfig(name=str(tmp_path / "saved")))
    before = merged.encode(TEXTS)
    hashes = {merged.sha256}
    for number, name in enumerate(CHANNELS):
        expected = tuned(tokens, torch.full((len(TEXTS),), number)).detach()
        assert (abs(expected.numpy() - before).max() > 1e-3) == (name != "examples")
        if name != "examples":
            other = for_channel(merged, "examples", name, tmp_path / ADAPTERS)
            found = torch.from_numpy(other.encode(TEXTS))
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
            hashes.add(other.sha256)
    assert len(hashes) == len(CHANNELS), "vectors are cached by them"
    assert (merged.encode(TEXTS) == before).all()


@pytest.mark.parametrize("damage", ["no folder", "no settings", "no weights", "torn", "other rank"])
def test_an_adapter_that_is_not_what_was_saved_is_named(
    backbone: Backbone, tmp_path: Path, damage: str
) -> None:
    saved_adapters(backbone, tmp_path)
    merged = load_backbone(BackboneConfig(name=str(tmp_path / "saved")))
    title = tmp_path / ADAPTERS / "title"
    if damage == "no folder":
        shutil.rmtree(title)
    elif damage == "no settings":
        (title / "adapter_config.json").unlink()
    elif damage == "no weights":
        (title / "adapter_model.safetensors").unlink()
    elif damage == "torn":
        (title / "adapter_model.safetensors").write_bytes(b"torn")
    else:
        settings = title / "adapter_config.json"
        settings.write_text(settings.read_text().replace('"r": 2', '"r": 3'))
    with pytest.raises(ArtifactMismatchError, match="adapter of the channel title") as caught:
        for_channel(merged, "examples", "title", tmp_path / ADAPTERS)
    assert caught.value.where == str(tmp_path / ADAPTERS)


def test_rows_of_tokens_are_taken_in_the_order_asked(backbone: Backbone) -> None:
    tokens = Tokens.of(backbone, TEXTS)
    picked = tokens.rows(torch.tensor([3, 1, 0]))
    assert picked.size.tolist() == tokens.size[[3, 1, 0]].tolist()
    ids, mask = picked.padded(backbone.pad)
    assert ids.shape == mask.shape
    assert ids[0].tolist() == tokens.rows(torch.tensor([3])).ids.tolist()
    assert not mask[1].any()


@pytest.mark.parametrize("name", ["frozen_epochs", "epochs", "batch_size", "lora_rank", "tokens"])
def test_settings_of_nothing_are_refused(name: str) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0, it must be at least 1"):
        FineTuneConfig(**wrong)


def test_auto_is_frozen_without_a_gpu() -> None:
    assert FineTuneConfig().resolved(torch.device("cpu")) == "frozen"
    assert FineTuneConfig().resolved(torch.device("cuda")) == "lora"
    assert FineTuneConfig(mode="full").resolved(torch.device("cpu")) == "full"


@pytest.mark.parametrize(
    ("precision", "on_cpu", "on_gpu"),
    [("auto", False, True), ("float32", False, False), ("bfloat16", True, True)],
)
def test_auto_is_half_precision_on_a_gpu_alone(
    precision: Literal["auto", "float32", "bfloat16"], on_cpu: bool, on_gpu: bool
) -> None:
    config = FineTuneConfig(precision=precision)
    assert config.is_half(torch.device("cpu")) is on_cpu
    assert config.is_half(torch.device("cuda")) is on_gpu
