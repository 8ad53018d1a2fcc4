"""Vectors against a plain computation, and what a vector must not depend on."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.weights import DEFAULT_BACKBONE, find_weights
from naics_graph.errors import ConfigError, DataError
from tests.encode.tiny import HIDDEN, WORDS


def some_texts(count: int, seed: int = 0) -> list[str]:
    """Texts of 1 to 40 words, known and unknown to the tokenizer."""
    draw = random.Random(seed)
    words = [*WORDS, "zebra", "Soybean,", "x-ray"]
    return [" ".join(draw.choices(words, k=draw.randint(1, 40))) for _ in range(count)]


def one_by_one(folder: Path, texts: list[str], max_tokens: int) -> NDArray[np.float64]:
    """Each text alone, so without padding, pooled in numpy."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
        with torch.no_grad():
            states = model(**encoded).last_hidden_state[0].double().numpy()
        mean = states.mean(axis=0)
        rows.append(mean / np.sqrt((mean**2).sum()))
    return np.array(rows)


def test_equals_a_plain_computation_text_by_text(tiny: Backbone, tiny_folder: Path) -> None:
    texts = some_texts(30)
    vectors = tiny.encode(texts)
    assert vectors.shape == (30, HIDDEN)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, one_by_one(tiny_folder, texts, 24), atol=1e-5)


def test_the_default_model_equals_a_plain_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        weights = find_weights()
    except DataError as error:
        pytest.skip(f"NOT TESTED: no weights of {DEFAULT_BACKBONE} here: {error.saw}")
    texts = ["Mobile dog grooming van", "Soybean farming, " * 60, "steel"]
    vectors = load_backbone().encode(texts)
    np.testing.assert_allclose(vectors, one_by_one(weights.path, texts, 128), atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_no_influence_of_company_or_order(
    tiny: Backbone, tiny_folder: Path, batch_size: int
) -> None:
    texts = some_texts(40, seed=1)
    config = BackboneConfig(name=str(tiny_folder), max_tokens=24, batch_size=batch_size)
    expected = tiny.encode(texts)
    order = random.Random(2).sample(range(40), 40)
    shuffled = load_backbone(config).encode([texts[i] for i in order])
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-5)


def test_the_same_texts_give_the_same_bits(tiny: Backbone) -> None:
    texts = some_texts(20, seed=3)
    np.testing.assert_array_equal(tiny.encode(texts), tiny.encode(texts))


def test_first_token_pooling_reads_the_first_state(tiny_folder: Path) -> None:
    config = BackboneConfig(name=str(tiny_folder), pooling="cls")
    vector = load_backbone(config).encode(["soybean farming"])[0]
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    model = AutoModel.from_pretrained(tiny_folder).eval()
    with torch.no_grad():
        state = model(**tokenizer("soybean farming", return_tensors="pt")).last_hidden_state[0, 0]
    np.testing.assert_allclose(vector, (state / state.norm()).numpy(), atol=1e-6)


def test_long_texts_are_cut_at_the_token_limit(tiny: Backbone) -> None:
    # 24 tokens are [CLS], 22 words and [SEP].
    at_limit, beyond, below = tiny.encode(["dog " * 22, "dog " * 1_000_000, "dog " * 21])
    np.testing.assert_array_equal(at_limit, beyond)
    assert np.abs(below - at_limit).max() > 1e-4


def test_the_limit_of_the_model_holds_too(tiny_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_folder), max_tokens=512))
    vector = backbone.encode(["dog " * 500])
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_text_without_tokens_has_the_zero_vector(tiny: Backbone) -> None:
    vectors = tiny.encode(["", "   \n\t", "dog", "\u200b"])
    assert not vectors[[0, 1, 3]].any()
    assert np.linalg.norm(vectors[2]) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_give_no_rows(tiny: Backbone) -> None:
    assert tiny.encode([]).shape == (0, HIDDEN)


def test_broken_characters_are_read_as_unknown_ones(tiny: Backbone) -> None:
    broken, question = tiny.encode(["dog \udce9 mills", "dog ? mills"])
    # Rows of one batch may differ in their last digits, whatever the text.
    np.testing.assert_allclose(broken, question, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrong", [None, 541511, float("nan"), b"dog"])
def test_anything_but_text_is_refused_by_its_place(tiny: Backbone, wrong: object) -> None:
    with pytest.raises(DataError, match="text 2") as caught:
        tiny.encode(["dog", "mills", wrong])  # type: ignore[list-item]
    assert type(wrong).__name__ in caught.value.saw


def test_a_single_string_is_not_a_list_of_letters(tiny: Backbone) -> None:
    with pytest.raises(DataError, match="list of strings"):
        tiny.encode("dog grooming")


def test_progress_counts_every_text_once(tiny: Backbone) -> None:
    calls: list[tuple[str, int, int]] = []
    tiny.encode([*some_texts(9), ""], lambda *call: calls.append(call))
    assert [done for _, done, _ in calls] == [5, 9, 10]
    assert {total for _, _, total in calls} == {10}


def test_a_folder_that_is_no_transformer_is_a_data_error(tmp_path: Path) -> None:
    for name, content in {
        "config.json": '{"model_type": "no such architecture"}',
        "vocab.txt": "[PAD]\n",
        "model.safetensors": "",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_backbone(BackboneConfig(name=str(tmp_path)))


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64])
def test_damaged_weights_are_a_data_error(tiny_folder: Path, tmp_path: Path, damage: bytes) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(damage)
    with pytest.raises(DataError, match="cannot be loaded"):
        load_backbone(BackboneConfig(name=str(tmp_path)))


def test_sizes_no_batch_can_have_are_refused() -> None:
    from naics_graph.config import load_mapping

    for values in ({"max_tokens": 2}, {"batch_size": 0}, {"pooling": "max"}):
        with pytest.raises(ConfigError):
            load_mapping(BackboneConfig, values)
