"""What stage 3 trains on: code channels, labelled texts as queries, and the tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from naics_graph.config import require_weights
from naics_graph.encode.backbone import Backbone
from naics_graph.encode.channels import ChannelFeatures, ChannelTexts, TextEncoder
from naics_graph.encode.lexical import LexicalConfig, LexicalVocabulary
from naics_graph.encode.reader import TextInputs, TextReader
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.labelled import LabelledText, labelled_texts
from naics_graph.taxonomy.model import CHANNELS, Taxonomy
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceWeights:
    """What a labelled text of each source weighs as a query; 0 leaves the source out.

    index: entries of the Bureau's index. phrase: phrases of the companion edition. title: titles of
    codes. description: their descriptions, of either edition. example: illustrative examples.
    exclusion: cross-reference clauses, queries of the one code they refer to.
    """

    index: float = 1.0
    phrase: float = 1.0
    title: float = 1.0
    description: float = 1.0
    example: float = 1.0
    exclusion: float = 1.0

    def __post_init__(self) -> None:
        """Refuse negative weights, and none at all."""
        require_weights(self, "sources")


@dataclass(frozen=True)
class Batch:
    """Queries of one step: b texts, their channels (b,), labels (b,), the texts to hide.

    weight: (b,) float64, what each counts for.
    """

    inputs: TextInputs
    channel: Tensor
    label: Tensor
    weight: Tensor
    hidden: list[int]


@dataclass(frozen=True)
class ContrastData:
    """Channels of all codes, and Q labelled texts as queries.

    texts: what stands in the channels, and channel_inputs: those T texts. query_inputs: the Q
    queries. query_channel: (Q,) position in CHANNELS. query_code: (Q,) position in the taxonomy, of
    any level. query_weight: (Q,) float64 what each counts for. hides[i]: texts that leave every
    channel while query i is asked.
    """

    texts: ChannelTexts
    channel_inputs: TextInputs
    labelled: tuple[LabelledText, ...]
    query_inputs: TextInputs
    query_channel: Tensor
    query_code: Tensor
    query_weight: Tensor
    hides: tuple[Sequence[int], ...]
    tree: Tree
    vocabulary: LexicalVocabulary

    @classmethod
    def of(
        cls,
        taxonomy: Taxonomy,
        encoder: TextEncoder,
        lexical: LexicalConfig | None = None,
        progress: Progress | None = None,
    ) -> ContrastData:
        """Collect and encode every usable text of a taxonomy. Validation entries are not read."""
        texts = ChannelTexts.of(taxonomy)
        labelled = labelled_texts(taxonomy)
        strings = [*texts.texts, *(item.text for item in labelled)]
        vocabulary = LexicalVocabulary.fit(strings, lexical or LexicalConfig())
        inputs = TextInputs.of(strings, encoder, vocabulary, progress)
        tree = Tree.of(taxonomy)
        rows = torch.arange(len(strings))
        return cls(
            texts=texts,
            channel_inputs=inputs.rows(rows[: len(texts.texts)]),
            labelled=labelled,
            query_inputs=inputs.rows(rows[len(texts.texts) :]),
            query_channel=torch.tensor([CHANNELS.index(item.channel) for item in labelled]),
            query_code=torch.tensor([tree.position[item.code] for item in labelled]),
            query_weight=torch.ones(len(labelled), dtype=torch.float64),
            hides=tuple(texts.hides(item) for item in labelled),
            tree=tree,
            vocabulary=vocabulary,
        )

    @property
    def hidden_size(self) -> int:
        """Width h of the backbone's vectors."""
        return self.query_inputs.vectors.shape[1]

    def weighted(self, weights: SourceWeights) -> ContrastData:
        """The data with queries weighted by their sources, and without those that weigh nothing."""
        weight = torch.tensor(
            [getattr(weights, item.source) for item in self.labelled], dtype=torch.float64
        )
        if bool((weight == 1.0).all()):
            return self
        rows = torch.nonzero(weight).squeeze(1)
        return dataclasses.replace(
            self,
            labelled=tuple(self.labelled[i] for i in rows),
            query_inputs=self.query_inputs.rows(rows),
            query_channel=self.query_channel[rows],
            query_code=self.query_code[rows],
            query_weight=weight[rows],
            hides=tuple(self.hides[i] for i in rows),
        )

    def with_tokens(self, backbone: Backbone) -> ContrastData:
        """The same texts for a backbone that learns."""
        texts = [item.text for item in self.labelled]
        return dataclasses.replace(
            self,
            channel_inputs=self.channel_inputs.with_tokens(backbone, self.texts.texts),
            query_inputs=self.query_inputs.with_tokens(backbone, texts),
        )

    def reread(self, reader: TextReader) -> ContrastData:
        """The data with the channels' texts as the learning backbone reads them now.

        Reading them all with every step would take minutes; an epoch later they are little behind.
        """
        channel = torch.from_numpy(self.texts.channel)
        return dataclasses.replace(self, channel_inputs=reader.frozen(self.channel_inputs, channel))

    def frozen(self, reader: TextReader) -> ContrastData:
        """The data as a backbone that has learned leaves it: all vectors read, no tokens kept."""
        queries = reader.frozen(self.query_inputs, self.query_channel)
        return dataclasses.replace(self.reread(reader), query_inputs=queries)

    @torch.no_grad()
    def channels(self, reader: TextReader) -> ChannelFeatures:
        """The channels of all codes as the reader reads them now; they carry no gradient to it."""
        vectors = reader(self.channel_inputs, torch.from_numpy(self.texts.channel)).cpu()
        return ChannelFeatures(self.texts, vectors, unit=reader.hidden_size)

    @property
    def trained(self) -> Tensor:
        """(n,) bool: codes that some query names, themselves or through a descendant."""
        ancestors = torch.from_numpy(self.tree.ancestors)[self.query_code]
        trained = torch.zeros(len(self.tree.codes), dtype=torch.bool)
        trained[ancestors[ancestors >= 0]] = True
        return trained

    def batch(self, rows: Tensor) -> Batch:
        """The queries of the given rows, with the union of the texts they hide."""
        return Batch(
            self.query_inputs.rows(rows),
            self.query_channel[rows],
            self.query_code[rows],
            self.query_weight[rows],
            self.hidden(rows),
        )

    def hidden(self, rows: Tensor) -> list[int]:
        """Ids of the texts that leave every channel while the queries of the rows are asked."""
        return sorted({text for row in rows.tolist() for text in self.hides[row]})

    def epoch(
        self, size: int, seed: int, epoch: int, feature_dropout: float = 0.0
    ) -> Iterator[Batch]:
        """All queries once in an order drawn from (seed, epoch); the last batch may be short.

        Lexical features of a query are left out at the rate `feature_dropout`.
        """
        random = np.random.default_rng((seed, epoch))
        order = torch.from_numpy(random.permutation(len(self.query_code)))
        generator = torch.Generator().manual_seed(int(random.integers(2**62)))
        for rows in torch.split(order, size):
            batch = self.batch(rows)
            inputs = batch.inputs.dropped(feature_dropout, generator)
            yield dataclasses.replace(batch, inputs=inputs)

    def steps_per_epoch(self, size: int) -> int:
        """Number of batches of one epoch."""
        return -(-len(self.query_code) // size)
