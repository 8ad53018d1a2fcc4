"""Stage 1: a frozen transformer that turns texts into unit vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.encode.weights import DEFAULT_BACKBONE, Weights, find_weights
from naics_graph.errors import DataError
from naics_graph.store.contract import Progress

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Pooling = Literal["mean", "cls"]

_CHARACTERS_PER_TOKEN: Final = 64
"""Text beyond this many characters per allowed token is not read: no real text has such tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """Which transformer reads the texts, and how.

    name: folder or hub repository. max_tokens: of a text, its special tokens included; the rest is
    cut. pooling: `mean` over the tokens, or the first one (`cls`). batch_size: texts at a time; of
    no influence on the vectors.
    """

    name: str = DEFAULT_BACKBONE
    max_tokens: int = 128
    pooling: Pooling = "mean"
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Refuse sizes no batch can have."""
        if self.max_tokens < 3:
            raise ValueError(f"max_tokens is {self.max_tokens}, it must be at least 3")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, it must be at least 1")


class Backbone:
    """A loaded transformer in evaluation mode, float32."""

    def __init__(
        self,
        config: BackboneConfig,
        weights: Weights,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        self.config, self.weights = config, weights
        self.model = model.eval()  # type: ignore[no-untyped-call]
        self.tokenizer = tokenizer
        self._special: int = tokenizer.num_special_tokens_to_add()
        positions = getattr(model.config, "max_position_embeddings", config.max_tokens)
        self._max_tokens: int = min(config.max_tokens, positions)

    @property
    def sha256(self) -> str:
        """sha256 of the weights file."""
        return self.weights.sha256

    @property
    def hidden_size(self) -> int:
        """Width h of a vector."""
        return int(self.model.config.hidden_size)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """Unit vectors of texts: (n, h), row i for text i.

        A vector does not depend on the other texts. A text without a single token (empty, blanks)
        says nothing: its vector is zero. Long texts are cut.

        Raises:
            DataError: an item is not a string.
        """
        vectors = np.zeros((len(texts), self.hidden_size), dtype=np.float32)
        batches = list(self._batches(texts))
        done = len(texts) - sum(len(rows) for rows, _ in batches)
        for rows, ids in batches:
            vectors[rows] = self._pooled(ids).numpy()
            done += len(rows)
            if progress is not None:
                progress("encoding texts", done, len(texts))
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Rows and token ids of the texts that have tokens, in batches of similar length."""
        ids = self.tokens(texts)
        rows = [i for i, tokens in enumerate(ids) if tokens]
        # Longest first: memory peaks at once, and progress speeds up rather than stalls.
        rows.sort(key=lambda i: (-len(ids[i]), i))
        for start in range(0, len(rows), self.config.batch_size):
            batch = rows[start : start + self.config.batch_size]
            yield batch, [ids[i] for i in batch]

    @property
    def pad(self) -> int:
        """Id of the padding token."""
        return int(self.tokenizer.pad_token_id or 0)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, special ones included; none of a text without one of its own.

        Raises:
            DataError: an item is not a string.
        """
        if not require_texts(texts):
            return []
        limit = _CHARACTERS_PER_TOKEN * self._max_tokens
        readable = [text[:limit].encode("utf-8", "replace").decode() for text in texts]
        encoded = self.tokenizer(
            readable, truncation=True, max_length=self._max_tokens, return_attention_mask=False
        )
        return [ids if len(ids) > self._special else [] for ids in encoded["input_ids"]]

    def _pooled(self, ids: list[list[int]]) -> Tensor:
        """(b, h) unit vectors of token id lists."""
        padded: Any = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        mask = padded["attention_mask"]
        hidden = self.model(input_ids=padded["input_ids"], attention_mask=mask).last_hidden_state
        return pooled(hidden, mask, self.config.pooling)


def pooled(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Unit vectors (b, h) float32 of hidden states (b, l, h), where mask (b, l) is 1."""
    if pooling == "cls":
        vector = hidden[:, 0].float()
    else:
        weight = mask.unsqueeze(-1).float()
        vector = (hidden.float() * weight).sum(dim=1) / weight.sum(dim=1)
    return torch.nn.functional.normalize(vector, dim=1)


def load_backbone(config: BackboneConfig | None = None) -> Backbone:
    """Find and load the transformer of a configuration; nothing is fetched that is here already.

    Raises:
        ArtifactMismatchError: the weights found are not the ones known under the name.
        DataError: no weights found, or the folder holds no model this program can run.
    """
    config = config or BackboneConfig()
    weights = find_weights(config.name)
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.path, local_files_only=True)
        with _no_bars():
            model = AutoModel.from_pretrained(
                weights.path, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(
            f"the model cannot be loaded: {error}",
            where=str(weights.path),
            do="get the model again, or name another with --set backbone.name=NAME",
        ) from error
    return Backbone(config, weights, model, tokenizer)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Transformers draws a bar even for a load of a second; its setting is put back."""
    from transformers.utils import logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def require_texts(texts: Sequence[str]) -> Sequence[str]:
    """The texts themselves.

    Raises:
        DataError: a single string was given for a list, or an item is not a string.
    """
    if isinstance(texts, str):
        raise DataError("one string was given", where="texts", do="give a list of strings")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"{text!r} is a {type(text).__name__}, not a text",
                where=f"text {i}, counted from 0",
                do="give strings only; an empty string stands for a missing text",
            )
    return texts
