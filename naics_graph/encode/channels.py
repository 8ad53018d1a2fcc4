"""The four text channels of every code, and how a text is taken out of all of them at once.

A text is one text wherever it stands: twins' equal titles, a description and the codes that point
to it, an index entry equal to an illustrative example. Hiding it hides it in each place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.store.contract import Progress
from naics_graph.taxonomy.labelled import LabelledText
from naics_graph.taxonomy.model import CHANNELS, Channel, EntrySource, Industry, Role, Taxonomy
from naics_graph.taxonomy.roles import normalise

REPEATS: Final = 3
"""Words from which a clause inside another code's sentence counts as the same statement."""

QUERY_CHANNEL: Final = CHANNELS.index("examples")
"""The channel a question is read in."""

_SAID_OF_ITSELF: Final = [CHANNELS.index(c) for c in ("title", "description", "examples")]


class TextEncoder(Protocol):
    """What turns texts into unit vectors: `Backbone`, or `CachedBackbone` around it."""

    @property
    def hidden_size(self) -> int:
        """Width h of a vector."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> NDArray[np.float32]:
        """(n, h) float32."""


def text_key(text: str) -> str:
    """What texts that count as one share: the normalised form, if anything is left of it."""
    return normalise(text) or text.strip()


@dataclass(frozen=True)
class ChannelTexts:
    """Which texts stand in which channel of which code.

    texts: T different texts. slot: (p,) channels of codes, 4 · position of the code + position of
    the channel in CHANNELS, ascending. text: (p,) the text that stands there, ascending in a slot.
    by_key: text ids by `text_key`. by_clause: ids of the exclusion sentences by the key of the
    clause they say.
    """

    codes: tuple[str, ...]
    texts: tuple[str, ...]
    slot: NDArray[np.int64]
    text: NDArray[np.int64]
    by_key: Mapping[str, int]
    by_clause: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, taxonomy: Taxonomy, *, training_examples: bool = False) -> ChannelTexts:
        """Collect the texts of a taxonomy; validation entries are never among them.

        Args:
            taxonomy: what to collect from.
            training_examples: put index entries of the role `training` in the examples channel too.
        """
        roles = {None, Role.EXAMPLES, *([Role.TRAINING] if training_examples else [])}
        by_key: dict[str, int] = {}
        texts: list[str] = []
        places: set[tuple[int, int]] = set()
        position = {industry.code: i for i, industry in enumerate(taxonomy.industries)}
        for code, channel, text in _placed(taxonomy, roles):
            key = text_key(text)
            if not key:
                continue
            if key not in by_key:
                by_key[key] = len(texts)
                texts.append(text)
            slot = len(CHANNELS) * position[code] + CHANNELS.index(channel)
            places.add((slot, by_key[key]))
        ordered = np.array(sorted(places), dtype=np.int64).reshape(-1, 2)
        return cls(
            codes=tuple(position),
            texts=tuple(texts),
            slot=ordered[:, 0].copy(),
            text=ordered[:, 1].copy(),
            by_key=by_key,
            by_clause=_clauses(taxonomy, by_key),
        )

    def hides(self, labelled: LabelledText) -> list[int]:
        """Ids of the texts that may not be seen while a labelled text is the query.

        The text itself wherever it stands, and the exclusion sentences that say it: all of them,
        since several codes may send the same activity away. Of a clause also every sentence that
        repeats it among other words: of its holder, and, of REPEATS words or more, of any code.
        """
        key = text_key(labelled.text)
        hidden = set(self.by_clause.get(key, ()))
        if key in self.by_key:
            hidden.add(self.by_key[key])
        if labelled.source == "exclusion":
            words = key.split()
            among = set(self.standing(labelled.holder, "excluded"))
            if len(words) >= REPEATS:
                # A word that no sentence has leaves none.
                among |= min((self._sentences.get(word, frozenset()) for word in words), key=len)
            hidden.update(i for i in among if f" {key} " in f" {text_key(self.texts[i])} ")
        return sorted(hidden)

    def standing(self, code: str, channel: Channel) -> list[int]:
        """Ids of the texts in a channel of a code, ascending."""
        slot = len(CHANNELS) * self.position[code] + CHANNELS.index(channel)
        start, end = np.searchsorted(self.slot, [slot, slot + 1])
        ids: list[int] = self.text[start:end].tolist()
        return ids

    @cached_property
    def _sentences(self) -> dict[str, frozenset[int]]:
        """Ids of the exclusion sentences by every word of theirs."""
        found: dict[str, set[int]] = defaultdict(set)
        excluded = self.slot % len(CHANNELS) == CHANNELS.index("excluded")
        for i in np.unique(self.text[excluded]).tolist():
            for word in text_key(self.texts[i]).split():
                found[word].add(i)
        return {word: frozenset(ids) for word, ids in found.items()}

    @cached_property
    def channel(self) -> NDArray[np.int64]:
        """(T,) the channel each text is read in, a position in CHANNELS: the first it stands in."""
        _, first = np.unique(self.text, return_index=True)
        return self.slot[first] % len(CHANNELS)

    @cached_property
    def position(self) -> dict[str, int]:
        """Position of every code."""
        return {code: i for i, code in enumerate(self.codes)}


def _placed(taxonomy: Taxonomy, roles: Iterable[Role | None]) -> Iterator[tuple[str, Channel, str]]:
    by_code = {industry.code: industry for industry in taxonomy.industries}
    for industry in taxonomy.industries:
        yield industry.code, "title", industry.title
        yield industry.code, "description", _description(industry, by_code)
        for text in industry.examples:
            yield industry.code, "examples", text
        for text in industry.excluded:
            yield industry.code, "excluded", text
    for entry in taxonomy.entries:
        if entry.source is EntrySource.CENSUS and entry.role in roles:
            yield entry.code, "examples", entry.text


def _description(industry: Industry, by_code: Mapping[str, Industry]) -> str:
    """The description, or that of the code it points to; "" where the pointers lead nowhere."""
    seen = {industry.code}
    while not industry.description and industry.described_by is not None:
        target = by_code.get(industry.described_by)
        if target is None or target.code in seen:
            break
        industry = target
        seen.add(industry.code)
    return industry.description


def _clauses(taxonomy: Taxonomy, by_key: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = defaultdict(set)
    for exclusion in taxonomy.exclusions:
        sentence = by_key.get(text_key(exclusion.text))
        if sentence is not None:
            found[text_key(exclusion.clause)].add(sentence)
    found.pop("", None)
    return {clause: tuple(sorted(sentences)) for clause, sentences in found.items()}


class ChannelFeatures:
    """A vector for every channel of every code: the mean of its texts' vectors.

    Args:
        texts: T texts and where they stand. vectors: (T, w) float32, one per text. unit: as many
            leading columns, default all, are taken to unit length; the others stay a mean.
    """

    def __init__(self, texts: ChannelTexts, vectors: Tensor, unit: int | None = None) -> None:
        if len(vectors) != len(texts.texts):
            raise ValueError(f"{len(vectors)} vectors for {len(texts.texts)} texts")
        self.texts = texts
        self.vectors = vectors
        self.unit = vectors.shape[1] if unit is None else unit
        self._slot = torch.from_numpy(texts.slot)
        self._text = torch.from_numpy(texts.text)
        self._slots = len(CHANNELS) * len(texts.codes)
        everything = torch.ones(len(self._slot), dtype=torch.bool)
        self._features, self._mask = self._means(torch.arange(self._slots), everything)

    def full(self) -> tuple[Tensor, Tensor]:
        """(n, 4, w) float32 channel vectors, zero where (n, 4) bool is False: no text there."""
        return self._shaped(self._features.clone(), self._mask.clone())

    def without(self, text_ids: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As `full`, with the given texts taken out of every channel they stand in.

        Means that lose a text are taken anew over the others: what a subtraction would leave of a
        hidden text in the last digits would still be a leak.
        """
        hidden = torch.zeros(len(self.texts.texts), dtype=torch.bool)
        hidden[torch.as_tensor(text_ids, dtype=torch.int64)] = True
        is_hidden = hidden[self._text]
        is_affected = torch.zeros(self._slots, dtype=torch.bool)
        is_affected[self._slot[is_hidden]] = True
        affected = torch.nonzero(is_affected).squeeze(1)
        features, mask = self._features.clone(), self._mask.clone()
        features[affected], mask[affected] = self._means(affected, ~is_hidden)
        return self._shaped(features, mask)

    def pooled(self) -> Tensor:
        """(n, w) one unit vector a code: its title, description and examples in equal parts."""
        features, mask = self.full()
        total = (features * mask.unsqueeze(-1))[:, _SAID_OF_ITSELF].sum(dim=1)
        return torch.nn.functional.normalize(total, dim=1)

    def _means(self, slots: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Channel vectors and mask of ascending slots, from the (p,) placed texts that are seen."""
        wanted = torch.zeros(self._slots, dtype=torch.bool)
        wanted[slots] = True
        used = torch.nonzero(seen & wanted[self._slot]).squeeze(1)
        size = torch.bincount(self._slot[used], minlength=self._slots)[slots]
        # A bag sums rows where they lie; gathering them first takes several times as long.
        total = torch.nn.functional.embedding_bag(
            self._text[used], self.vectors, size.cumsum(0) - size, mode="sum"
        )
        whole = torch.nn.functional.normalize(total[:, : self.unit], dim=1)
        if self.unit < total.shape[1]:
            whole = torch.cat([whole, total[:, self.unit :] / size.clamp(min=1)[:, None]], dim=1)
        return whole, size > 0

    def _shaped(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        n = len(self.texts.codes)
        return features.view(n, len(CHANNELS), -1), mask.view(n, len(CHANNELS))


def query_features(vectors: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """Texts as inputs of the map: each in its one channel, the others masked.

    Args:
        vectors: (b, w).
        channel: (b,) positions in CHANNELS.

    Returns:
        (b, 4, w) and (b, 4) bool. A text without a token (a zero vector) is masked throughout.
    """
    rows = torch.arange(len(vectors), device=vectors.device)
    channel = channel.to(vectors.device)
    features = vectors.new_zeros(len(vectors), len(CHANNELS), vectors.shape[1])
    features[rows, channel] = vectors
    mask = torch.zeros(len(vectors), len(CHANNELS), dtype=torch.bool, device=vectors.device)
    mask[rows, channel] = vectors.abs().sum(dim=1) > 0
    return features, mask
