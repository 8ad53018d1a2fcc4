"""What anybody can do without this project: five text classifiers, the yardstick of every figure.

All score the six-digit codes from the same texts: titles, cleaned descriptions, and the index
entries that may be read (roles `examples` and `training`; without a split, all that are loaded).
The recipes are fixed, so that figures of different versions compare.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.svm import LinearSVC

from naics_graph.taxonomy.model import Role, Taxonomy

RECIPES = 1
"""Counts changes of the recipes: part of the key of cached figures."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, one row each."""

Matrix = NDArray[np.float64]
Vectors: TypeAlias = "csr_matrix | NDArray[np.float32]"

_BLOCK = 512
"""Queries scored at once against all neighbours: 60 MB for 14,000 of them."""


@dataclass(frozen=True)
class BaselineTexts:
    """The texts the baselines read, over candidates in taxonomy order.

    examples: entries of the role `examples` by code. neighbours: every entry that may be read, with
    the position of its code.
    """

    codes: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    examples: tuple[tuple[str, ...], ...]
    neighbours: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, taxonomy: Taxonomy) -> BaselineTexts:
        """Collect from a taxonomy; validation entries are never read."""
        leaves = [industry for industry in taxonomy.industries if industry.level == 6]
        position = {industry.code: i for i, industry in enumerate(leaves)}
        usable = [entry for entry in taxonomy.entries if not entry.evaluated]
        examples: list[list[str]] = [[] for _ in leaves]
        for entry in usable:
            if entry.role is Role.EXAMPLES:
                examples[position[entry.code]].append(entry.text)
        return cls(
            codes=tuple(position),
            titles=tuple(industry.title for industry in leaves),
            descriptions=tuple(industry.description for industry in leaves),
            examples=tuple(map(tuple, examples)),
            neighbours=tuple((entry.text, position[entry.code]) for entry in usable),
        )

    def documents(self) -> list[str]:
        """Title, description and examples of every candidate as one text."""
        parts = zip(self.titles, self.descriptions, self.examples, strict=True)
        return [" ".join(filter(None, [t, d, *e])) for t, d, e in parts]


class Baseline(ABC):
    """A classifier that scores candidates for texts."""

    name: str

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of its text vectors."""

    @abstractmethod
    def scores(self, queries: Sequence[str]) -> Matrix:
        """(q, candidates), higher is better."""


class TrigramHashing(Baseline):
    """Cosine of hashed character trigrams with the document of a code."""

    name = "trigram hashing"

    def __init__(self, texts: BaselineTexts) -> None:
        self._vectorizer = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 3), n_features=self.dim, alternate_sign=False
        )
        self._documents = self._vectorizer.transform(texts.documents())

    @property
    def dim(self) -> int:
        """Buckets."""
        return 4096

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Cosine in [0, 1]."""
        return _dense(self._vectorizer.transform(queries) @ self._documents.T)


class MiniLMCosine(Baseline):
    """Cosine with the normalised sum of a code's title, description and examples vectors."""

    name = "MiniLM cosine"

    def __init__(self, texts: BaselineTexts, encode: Encode) -> None:
        self._encode = encode
        joined = ["; ".join(examples) for examples in texts.examples]
        total = np.zeros((len(texts.codes), encode(texts.titles[:1]).shape[1]))
        for channel in (texts.titles, texts.descriptions, joined):
            filled = [i for i, text in enumerate(channel) if text]
            if filled:
                total[filled] += encode([channel[i] for i in filled])
        self._codes = total / np.linalg.norm(total, axis=1, keepdims=True)

    @property
    def dim(self) -> int:
        """Width of the encoder."""
        return int(self._codes.shape[1])

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Cosine in [-1, 1]."""
        result: Matrix = self._encode(queries).astype(np.float64) @ self._codes.T
        return result


class TfidfNeighbours(Baseline):
    """The best TF-IDF cosine among a code's entries and title."""

    name = "TF-IDF kNN"

    def __init__(self, texts: BaselineTexts) -> None:
        self._vectorizer = char_tfidf()
        self._vectorizer.fit([*texts.documents(), *(t for t, _ in texts.neighbours)])
        self._nearest = _Nearest(*_with_titles(texts), len(texts.codes))
        self._vectors = self._vectorizer.transform(self._nearest.texts)

    @property
    def dim(self) -> int:
        """Size of the vocabulary."""
        return len(self._vectorizer.vocabulary_)

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Cosine in [0, 1]."""
        return self._nearest.best(self._vectorizer.transform(queries), self._vectors)


class MiniLMNeighbours(Baseline):
    """The best MiniLM cosine among a code's entries."""

    name = "MiniLM kNN"

    def __init__(self, texts: BaselineTexts, encode: Encode) -> None:
        self._encode = encode
        entries = [text for text, _ in texts.neighbours]
        owners = [owner for _, owner in texts.neighbours]
        self._nearest = _Nearest(entries, owners, len(texts.codes))
        self._vectors = encode(self._nearest.texts)

    @property
    def dim(self) -> int:
        """Width of the encoder."""
        return int(self._vectors.shape[1])

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Cosine in [-1, 1]; -1 for a code without entries."""
        return self._nearest.best(self._encode(queries), self._vectors)


class LinearSvm(Baseline):
    """One-against-rest linear SVM on character and word TF-IDF of entries, titles and documents."""

    name = "linear SVM"

    def __init__(self, texts: BaselineTexts) -> None:
        documents = texts.documents()
        entries = [text for text, _ in texts.neighbours]
        self._vectorizers = [
            char_tfidf().fit([*documents, *entries]),
            TfidfVectorizer(
                token_pattern=r"\w+", ngram_range=(1, 2), sublinear_tf=True, lowercase=True
            ).fit([*documents, *entries]),
        ]
        rows, owners = _with_titles(texts)
        everyone = list(range(len(documents)))
        self._classifier = LinearSVC(C=1.0, random_state=0)
        self._classifier.fit(self._features([*rows, *documents]), [*owners, *everyone])

    @property
    def dim(self) -> int:
        """Size of both vocabularies."""
        return sum(len(vectorizer.vocabulary_) for vectorizer in self._vectorizers)

    def scores(self, queries: Sequence[str]) -> Matrix:
        """Signed distances from the classes' planes."""
        result: Matrix = self._classifier.decision_function(self._features(queries))
        return result

    def _features(self, texts: Sequence[str]) -> csr_matrix:
        return csr_matrix(hstack([v.transform(texts) for v in self._vectorizers]))


def char_tfidf() -> TfidfVectorizer:
    """The character 2- to 5-grams of TF-IDF kNN and SVM."""
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


class _Nearest:
    """Best of many vectors per code: texts sorted by code, so that a code is one run of columns."""

    def __init__(self, texts: Sequence[str], owners: Sequence[int], codes: int) -> None:
        order = np.argsort(np.asarray(owners, dtype=np.int64), kind="stable")
        self.texts = [texts[i] for i in order]
        self.owners, self.starts = np.unique(np.asarray(owners)[order], return_index=True)
        self.codes = codes

    def best(self, queries: Vectors, vectors: Vectors) -> Matrix:
        """(q, codes) largest product; -1, the least a cosine can be, where a code has no text."""
        result = np.full((queries.shape[0], self.codes), -1.0)
        for start in range(0, queries.shape[0], _BLOCK):
            products = _dense(queries[start : start + _BLOCK] @ vectors.T)
            best = np.maximum.reduceat(products, self.starts, axis=1)
            result[start : start + _BLOCK, self.owners] = best
        return result


def _with_titles(texts: BaselineTexts) -> tuple[list[str], list[int]]:
    rows = [*texts.neighbours, *((title, i) for i, title in enumerate(texts.titles))]
    return [text for text, _ in rows], [owner for _, owner in rows]


def _dense(matrix: Any) -> Matrix:
    """A sparse or dense product as a dense float64 matrix."""
    array = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    result: Matrix = array.astype(np.float64, copy=False)
    return result
