"""The five baselines: their recipes recomputed by loops, and what they must not read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from naics_graph.evaluate.baselines import (
    Baseline,
    BaselineTexts,
    LinearSvm,
    MiniLMCosine,
    MiniLMNeighbours,
    TfidfNeighbours,
    TrigramHashing,
)
from tests.evaluate.small import small_taxonomy

TEXTS = BaselineTexts.of(small_taxonomy())
QUERIES = ["soybeans farmed in fields", "second-hand automobiles", "convenience store"]


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Random unit vectors, the same for the same text."""
    rows = [np.random.default_rng(zlib.crc32(t.encode())).normal(size=16) for t in texts]
    return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


BUILDERS: list[Callable[[BaselineTexts], Baseline]] = [
    TrigramHashing,
    lambda texts: MiniLMCosine(texts, encode),
    TfidfNeighbours,
    lambda texts: MiniLMNeighbours(texts, encode),
    LinearSvm,
]
everyone = pytest.mark.parametrize(
    "build", BUILDERS, ids=["trigram", "cosine", "tfidf", "neighbours", "svm"]
)


def test_texts_follow_the_roles() -> None:
    assert len(TEXTS.codes) == 8
    assert TEXTS.codes[0] == "111110"
    assert TEXTS.examples[0] == ("soybean growing",)
    assert [text for text, _ in TEXTS.neighbours][:2] == ["soybean growing", "soya bean fields"]
    assert len(TEXTS.neighbours) == 8
    assert TEXTS.documents()[0] == (
        "Soybean Farming This industry comprises soybean farming. soybean growing"
    )
    assert TEXTS.documents()[-1] == "Convenience Retailers"


def test_without_a_split_all_entries_are_neighbours() -> None:
    texts = BaselineTexts.of(small_taxonomy(roles=False))
    assert len(texts.neighbours) == 11
    assert not any(texts.examples)


@everyone
def test_validation_entries_are_not_read(build: Callable[[BaselineTexts], Baseline]) -> None:
    without = BaselineTexts.of(small_taxonomy(validation=False))
    assert np.array_equal(build(TEXTS).scores(QUERIES), build(without).scores(QUERIES))


@everyone
def test_scores_are_finite_and_of_every_candidate(
    build: Callable[[BaselineTexts], Baseline],
) -> None:
    baseline = build(TEXTS)
    scores = baseline.scores(QUERIES)
    assert scores.shape == (3, 8)
    assert np.isfinite(scores).all()
    assert baseline.dim > 0
    assert np.allclose(baseline.scores(QUERIES[1:2]), scores[1:2])


@pytest.mark.parametrize("index", [0, 2, 4])
def test_lexical_baselines_find_the_obvious(index: int) -> None:
    scores = BUILDERS[index](TEXTS).scores(["soybean fields", "dealers of used cars"])
    assert [TEXTS.codes[i] for i in scores.argmax(axis=1)] == ["111110", "441120"]


def test_tfidf_neighbours_by_loops() -> None:
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    vectorizer.fit([*TEXTS.documents(), *(text for text, _ in TEXTS.neighbours)])
    rows = [*TEXTS.neighbours, *((title, i) for i, title in enumerate(TEXTS.titles))]
    expected = np.full((3, 8), -1.0)
    for q, query in enumerate(QUERIES):
        for text, owner in rows:
            cosine = (vectorizer.transform([query]) @ vectorizer.transform([text]).T).toarray()[
                0, 0
            ]
            expected[q, owner] = max(expected[q, owner], cosine)
    assert TfidfNeighbours(TEXTS).scores(QUERIES) == pytest.approx(expected)


def test_minilm_cosine_by_hand() -> None:
    scores = MiniLMCosine(TEXTS, encode).scores(QUERIES)
    full = sum(encode([t])[0] for t in (TEXTS.titles[0], TEXTS.descriptions[0], "soybean growing"))
    bare = encode([TEXTS.titles[-1]])[0]
    query = encode(QUERIES[:1])[0]
    assert scores[0, 0] == pytest.approx(query @ full / np.linalg.norm(full), abs=1e-6)
    assert scores[0, -1] == pytest.approx(query @ bare, abs=1e-6)


def test_minilm_neighbours_by_hand() -> None:
    scores = MiniLMNeighbours(TEXTS, encode).scores(QUERIES)
    own = encode(["soybean growing", "soya bean fields"]) @ encode(QUERIES[:1])[0]
    assert scores[0, 0] == pytest.approx(own.max(), abs=1e-6)
    # 445120 has no entry that may be read.
    assert scores[:, -1].tolist() == [-1.0] * 3
