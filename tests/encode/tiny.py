"""A transformer of a few thousand parameters on disk, laid out as the hub does it."""

from __future__ import annotations

import hashlib
import json
import string
from pathlib import Path
from typing import Final

import torch
from transformers import BertConfig, BertModel

HIDDEN: Final = 32
POSITIONS: Final = 64
WORDS: Final = ("dog", "grooming", "mobile", "farming", "soybean", "wheat", "steel", "mills", "of")


def write_tiny_model(folder: Path, seed: int = 0) -> str:
    """Write config, tokenizer and random weights; returns the sha256 of the weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *("##" + c for c in string.ascii_lowercase)]
    vocabulary = [*special, *WORDS, *letters]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
