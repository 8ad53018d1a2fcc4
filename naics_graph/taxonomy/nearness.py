"""When two texts count as one, and a set of texts that can tell whether it holds one like another.

Two texts are equal when they are the same string after `normalise`, and nearly equal when the
Jaccard index of their trigram sets is at least 9/10.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

NEARLY: Final = 0.9
"""Jaccard index of trigram sets from which two texts are nearly equal."""

_NOT_ALPHANUMERIC: Final = re.compile(r"[^a-z0-9]+")


def normalise(text: str) -> str:
    """Lower case; every run of characters other than a-z and 0-9 one space, none at the ends."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).strip()


def trigrams(normalised: str) -> frozenset[str]:
    """The three-character substrings of a normalised text with one space at each end."""
    padded = f" {normalised} "
    return frozenset([padded[i : i + 3] for i in range(len(padded) - 2)])


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| / |a ∪ b|, 0-1; 0 when both are empty."""
    shared = len(a & b)
    union = len(a) + len(b) - shared
    return shared / union if union else 0.0


def nearly_equal(a: str, b: str) -> bool:
    """Whether two texts are equal or nearly equal."""
    left, right = normalise(a), normalise(b)
    return left == right or jaccard(trigrams(left), trigrams(right)) >= NEARLY


class NearIndex:
    """A set of texts that answers exactly whether one of them is (nearly) equal to a text.

    Of two sets with a Jaccard index of 9/10 or more the larger has at most 10/9 of the smaller's
    size, and each shares 9/10 of itself or more: among its rarest tenth and one more there is a
    shared trigram. Only texts met through such a trigram are compared.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._normalised = {normalise(text) for text in texts}
        sets = [trigrams(text) for text in sorted(self._normalised)]
        frequency = Counter(gram for grams in sets for gram in grams)
        in_order = sorted(frequency, key=lambda gram: (frequency[gram], gram))
        self._rarity = {gram: i for i, gram in enumerate(in_order)}
        self._met: defaultdict[str, list[frozenset[str]]] = defaultdict(list)
        for grams in sets:
            for gram in self._rarest(grams):
                self._met[gram].append(grams)

    def __len__(self) -> int:
        return len(self._normalised)

    def __contains__(self, text: str) -> bool:
        """Whether a text of the set is equal or nearly equal to `text`."""
        normalised = normalise(text)
        if normalised in self._normalised:
            return True
        grams = trigrams(normalised)
        fewest, most = 9 * len(grams) / 10, 10 * len(grams) / 9
        return any(
            fewest <= len(other) <= most and jaccard(grams, other) >= NEARLY
            for gram in self._rarest(grams)
            for other in self._met.get(gram, ())
        )

    def _rarest(self, grams: frozenset[str]) -> list[str]:
        """The known ones of the rarest |grams| - ⌈9/10 |grams|⌉ + 1; unknown ones are rarest."""
        known = grams & self._rarity.keys()
        kept = len(grams) // 10 + 1 - (len(grams) - len(known))
        return sorted(known, key=self._rarity.__getitem__)[:kept] if kept > 0 else []
