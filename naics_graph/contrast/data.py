"""What stage 3 trains on: code channels, labelled texts as queries, and the tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from naics_graph.encode.channels import ChannelFeatures, ChannelTexts, TextEncoder, query_features
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.labelled import LabelledText, labelled_texts
from naics_graph.taxonomy.model import CHANNELS, Taxonomy
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True)
class Batch:
    """Queries of one step: (b, 4, h) vectors, (b, 4) mask, (b,) labels, the texts to hide."""

    vectors: Tensor
    mask: Tensor
    label: Tensor
    hidden: list[int]


@dataclass(frozen=True)
class ContrastData:
    """Channels of all codes, and Q labelled texts as queries.

    query_vectors: (Q, h) float32. query_channel: (Q,) position in CHANNELS. query_code: (Q,)
    position in the taxonomy, of any level. hides[i]: texts that leave every channel while query i
    is asked.
    """

    features: ChannelFeatures
    labelled: tuple[LabelledText, ...]
    query_vectors: Tensor
    query_channel: Tensor
    query_code: Tensor
    hides: tuple[Sequence[int], ...]
    tree: Tree

    @classmethod
    def of(
        cls, taxonomy: Taxonomy, encoder: TextEncoder, progress: Progress | None = None
    ) -> ContrastData:
        """Collect and encode every usable text of a taxonomy. Validation entries are not read."""
        texts = ChannelTexts.of(taxonomy)
        labelled = labelled_texts(taxonomy)
        strings = [*texts.texts, *(item.text for item in labelled)]
        vectors = torch.from_numpy(encoder.encode(strings, progress))
        tree = Tree.of(taxonomy)
        return cls(
            features=ChannelFeatures(texts, vectors[: len(texts.texts)]),
            labelled=labelled,
            query_vectors=vectors[len(texts.texts) :],
            query_channel=torch.tensor([CHANNELS.index(item.channel) for item in labelled]),
            query_code=torch.tensor([tree.position[item.code] for item in labelled]),
            hides=tuple(texts.hides(item) for item in labelled),
            tree=tree,
        )

    @property
    def trained(self) -> Tensor:
        """(n,) bool: codes that some query names, themselves or through a descendant."""
        ancestors = torch.from_numpy(self.tree.ancestors)[self.query_code]
        trained = torch.zeros(len(self.tree.codes), dtype=torch.bool)
        trained[ancestors[ancestors >= 0]] = True
        return trained

    def batch(self, rows: Tensor) -> Batch:
        """The queries of the given rows, with the union of the texts they hide."""
        vectors, mask = query_features(self.query_vectors[rows], self.query_channel[rows])
        return Batch(vectors, mask, self.query_code[rows], self.hidden(rows))

    def hidden(self, rows: Tensor) -> list[int]:
        """Ids of the texts that leave every channel while the queries of the rows are asked."""
        return sorted({text for row in rows.tolist() for text in self.hides[row]})

    def epoch(self, size: int, seed: int, epoch: int) -> Iterator[Batch]:
        """All queries once in an order drawn from (seed, epoch); the last batch may be short."""
        order = torch.from_numpy(
            np.random.default_rng((seed, epoch)).permutation(len(self.query_code))
        )
        for rows in torch.split(order, size):
            yield self.batch(rows)

    def steps_per_epoch(self, size: int) -> int:
        """Number of batches of one epoch."""
        return -(-len(self.query_code) // size)
