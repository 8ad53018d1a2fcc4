"""Stage 1 as the later stages see it: what is known of a text, and the vector read from that.

A vector is the backbone's, of unit length, beside the lexical encoder's, which is learned. The
backbone's is given with the text, unless the backbone learns: then the text comes with its tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from naics_graph.encode.backbone import Backbone
from naics_graph.encode.channels import TextEncoder
from naics_graph.encode.finetune import Tokens, TunedBackbone
from naics_graph.encode.lexical import (
    LexicalConfig,
    LexicalEncoder,
    LexicalFeatures,
    LexicalVocabulary,
)
from naics_graph.store.contract import Progress


@dataclass(frozen=True)
class TextInputs:
    """n texts as a reader takes them: vectors (n, h) float32 of the frozen backbone, lexical bags,
    and, where the backbone learns, tokens.
    """

    vectors: Tensor
    lexical: LexicalFeatures
    tokens: Tokens | None = None

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        encoder: TextEncoder,
        vocabulary: LexicalVocabulary,
        progress: Progress | None = None,
    ) -> TextInputs:
        """Encode texts."""
        vectors = torch.from_numpy(encoder.encode(texts, progress))
        return cls(vectors, vocabulary.features(texts))

    def with_tokens(self, backbone: Backbone, texts: Sequence[str]) -> TextInputs:
        """The same texts for a backbone that learns."""
        return dataclasses.replace(self, tokens=Tokens.of(backbone, texts))

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, rows: Tensor) -> TextInputs:
        """Some of the texts (m,), in that order."""
        tokens = None if self.tokens is None else self.tokens.rows(rows)
        return TextInputs(self.vectors[rows], self.lexical.rows(rows), tokens)

    def dropped(self, rate: float, generator: torch.Generator) -> TextInputs:
        """The texts with lexical features dropped at a rate in [0, 1)."""
        return dataclasses.replace(self, lexical=self.lexical.dropped(rate, generator))


class TextReader(nn.Module):
    """Texts to vectors.

    Args:
        config: of the lexical encoder. hidden_size: h, the width of the backbone's vectors.
    """

    def __init__(self, config: LexicalConfig, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lexical_size = config.dim
        self.lexical = LexicalEncoder(config) if config.dim else None
        self.backbone: TunedBackbone | None = None

    @property
    def size(self) -> int:
        """Width of a vector: h, and the lexical encoder's behind it."""
        return self.hidden_size + self.lexical_size

    def forward(self, inputs: TextInputs, channel: Tensor) -> Tensor:
        """(n, size) float32 of n texts in the channels (n,), positions in CHANNELS."""
        vectors = inputs.vectors
        if self.backbone is not None and inputs.tokens is not None:
            vectors = self.backbone(inputs.tokens, channel)
        if self.lexical is None:
            return vectors
        device = self.lexical.table.device
        return torch.cat([vectors.to(device), self.lexical(inputs.lexical.to(device))], dim=1)

    @torch.no_grad()
    def frozen(self, inputs: TextInputs, channel: Tensor) -> TextInputs:
        """The texts with the vectors the backbone gives them now, and without tokens."""
        if self.backbone is None or inputs.tokens is None:
            return inputs
        return TextInputs(self.backbone(inputs.tokens, channel).cpu(), inputs.lexical)
