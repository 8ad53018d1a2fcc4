"""The lexical encoder beside the transformer: hashed words and character n-grams, learned.

A text is a bag of hashed words, word pairs and character 3-5-grams inside words, weighted by
sublinear tf-idf and taken to unit length; its vector is the weighted sum of the learned rows of
these features. It sees the rare word that a small frozen backbone misses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from naics_graph.config import require_above_zero, require_not_negative
from naics_graph.encode.ragged import picked

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer

FIRST_LENGTH: Final = 0.4
"""Length of an untrained text vector, about: well below the backbone's unit vector beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicalConfig:
    """Shape of the lexical encoder.

    dim: width of its vectors; 0 switches it off. log2_buckets: features are hashed to two to this
    power rows, half of them for characters, half for words. dropout: chance that a feature of a
    query is not seen in a training step, so that no text is known by one feature alone.
    learning_rate: peak of the table's.
    """

    dim: int = 64
    log2_buckets: int = 17
    dropout: float = 0.5
    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        """Refuse shapes and rates no encoder can have."""
        require_not_negative(self, "dim")
        require_above_zero(self, "learning_rate")
        if not 8 <= self.log2_buckets <= 24:
            raise ValueError(f"log2_buckets is {self.log2_buckets}, it must be within 8 and 24")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout is {self.dropout}, it must be within 0 and 1")

    @property
    def buckets(self) -> int:
        """Number of rows of the table."""
        return int(2**self.log2_buckets)


@dataclass(frozen=True)
class LexicalFeatures:
    """Bags of n texts in compressed rows: text i has `index[start[i]:start[i + 1]]`.

    start: (n + 1,) int64. index: (k,) int64 buckets. weight: (k,) float32; the squares of a text's
    sum to 1, or it has no known feature at all.
    """

    start: Tensor
    index: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.start) - 1

    def rows(self, rows: Tensor) -> LexicalFeatures:
        """The bags of some texts (m,), in that order."""
        start, at = picked(self.start, rows)
        return LexicalFeatures(start, self.index[at], self.weight[at])

    def to(self, device: torch.device) -> LexicalFeatures:
        """The bags on a device."""
        return LexicalFeatures(self.start.to(device), self.index.to(device), self.weight.to(device))

    def dropped(self, rate: float, generator: torch.Generator) -> LexicalFeatures:
        """The bags with each feature dropped at a rate in [0, 1).

        The others weigh 1 / sqrt(1 - rate) as much: features add up like steps of a walk, so that
        this keeps the length of a text's vector.
        """
        if not rate:
            return self
        kept = torch.rand(len(self.weight), generator=generator) >= rate
        return LexicalFeatures(self.start, self.index, self.weight * kept / math.sqrt(1.0 - rate))


class LexicalVocabulary:
    """Which features are known and what they weigh: idf over the texts a model is trained on.

    Args:
        idf: (buckets,) float32, 0 for features no such text has: they are not read.
    """

    def __init__(self, idf: Tensor) -> None:
        self.idf = idf

    @classmethod
    def fit(cls, texts: Sequence[str], config: LexicalConfig) -> LexicalVocabulary:
        """Weigh features by n texts: idf = ln((1 + n) / (1 + df)) + 1."""
        counts = _counts(texts, config.buckets)
        frequency = np.bincount(counts.indices, minlength=config.buckets)
        idf = np.log((1 + len(texts)) / (1 + frequency)) + 1
        return cls(torch.from_numpy(np.where(frequency > 0, idf, 0.0).astype(np.float32)))

    def features(self, texts: Sequence[str]) -> LexicalFeatures:
        """Bags of n texts: (1 + ln tf) · idf, of unit length."""
        counts = _counts(texts, len(self.idf))
        counts.data = (1.0 + np.log(counts.data)) * self.idf.numpy()[counts.indices]
        counts.eliminate_zeros()
        length = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        size = np.diff(counts.indptr)
        weight = counts.data / np.repeat(np.where(length > 0, length, 1.0), size)
        return LexicalFeatures(
            start=torch.from_numpy(counts.indptr.astype(np.int64)),
            index=torch.from_numpy(counts.indices.astype(np.int64)),
            weight=torch.from_numpy(weight.astype(np.float32)),
        )


class LexicalEncoder(nn.Module):
    """Bags of features to vectors; float32."""

    def __init__(self, config: LexicalConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Parameter(torch.empty(config.buckets, config.dim))
        nn.init.normal_(self.table, std=FIRST_LENGTH / math.sqrt(max(config.dim, 1)))

    def forward(self, features: LexicalFeatures) -> Tensor:
        """(n, dim) vectors."""
        return nn.functional.embedding_bag(
            features.index,
            self.table,
            features.start[:-1],
            mode="sum",
            per_sample_weights=features.weight,
        )


def _counts(texts: Sequence[str], buckets: int) -> csr_matrix:
    """(n, buckets) counts of hashed features, float64."""
    from scipy.sparse import csr_matrix, hstack

    if not texts:
        return csr_matrix((0, buckets), dtype=np.float64)
    # Undecodable characters become question marks, as they do for the backbone.
    readable = [text.encode("utf-8", "replace").decode() for text in texts]
    parts = [hasher.transform(readable) for hasher in _hashers(buckets)]
    counts: csr_matrix = hstack(parts, format="csr")
    counts.sum_duplicates()
    return counts


@cache
def _hashers(buckets: int) -> tuple[HashingVectorizer, HashingVectorizer]:
    from sklearn.feature_extraction.text import HashingVectorizer

    shape = {"n_features": buckets // 2, "alternate_sign": False, "norm": None}
    return (
        HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **shape),
        HashingVectorizer(
            analyzer="word", token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), **shape
        ),
    )
