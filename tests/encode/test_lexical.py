"""The lexical encoder against scikit-learn, and what drops out of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from naics_graph.encode.lexical import (
    LexicalConfig,
    LexicalEncoder,
    LexicalFeatures,
    LexicalVocabulary,
)

CONFIG = LexicalConfig(dim=5, log2_buckets=18)
TEXTS = ["Mobile dog grooming", "dog kennels, dog training", "soybean farming", "a dog"]


def dense(features: LexicalFeatures, buckets: int = CONFIG.buckets) -> np.ndarray:
    parts = (features.weight, features.index, features.start)
    matrix = csr_matrix(tuple(part.numpy() for part in parts), shape=(len(features), buckets))
    return np.asarray(matrix.todense())


def test_weights_are_scikit_learns_tf_idf_of_the_same_features() -> None:
    """Cosines of all pairs equal those of an unhashed vectoriser: no two features collide here."""
    counts = hstack(
        [
            CountVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(TEXTS),
            CountVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2)).fit_transform(TEXTS),
        ]
    ).tocsr()
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    ours = dense(LexicalVocabulary.fit(TEXTS, CONFIG).features(TEXTS))
    np.testing.assert_allclose(ours @ ours.T, (expected @ expected.T).toarray(), atol=1e-5)


def test_features_no_training_text_has_are_not_read() -> None:
    vocabulary = LexicalVocabulary.fit(TEXTS, CONFIG)
    known, unknown = (vocabulary.features([text]) for text in ("dog zzyzx", "zzyzx"))
    np.testing.assert_allclose(dense(known), dense(vocabulary.features(["dog"])), atol=1e-6)
    assert len(unknown) == 1
    assert not len(unknown.index)


def test_vectors_are_the_weighted_sums_of_the_rows() -> None:
    encoder = LexicalEncoder(CONFIG)
    features = LexicalVocabulary.fit(TEXTS, CONFIG).features([*TEXTS, "", "zzyzx"])
    expected = dense(features) @ encoder.table.detach().numpy()
    np.testing.assert_allclose(encoder(features).detach().numpy(), expected, atol=1e-5)
    assert not expected[-2:].any()


def test_rows_are_taken_in_the_order_asked() -> None:
    vocabulary = LexicalVocabulary.fit(TEXTS, CONFIG)
    features = vocabulary.features(TEXTS)
    order = torch.tensor([2, 0, 0, 3])
    np.testing.assert_array_equal(dense(features.rows(order)), dense(features)[order])
    assert len(features.rows(order[:0])) == 0


def test_dropping_keeps_the_length_on_average_and_follows_the_generator() -> None:
    features = LexicalVocabulary.fit(TEXTS, CONFIG).features(TEXTS * 400)

    def dropped(seed: int) -> LexicalFeatures:
        return features.dropped(0.5, torch.Generator().manual_seed(seed))

    left, whole = (float(bags.weight.square().sum()) for bags in (dropped(0), features))
    assert left == pytest.approx(whole, rel=0.02)
    assert 0.45 < float((dropped(0).weight == 0).float().mean()) < 0.55
    assert torch.equal(dropped(0).weight, dropped(0).weight)
    assert not torch.equal(dropped(0).weight, dropped(1).weight)
    assert features.dropped(0.0, torch.Generator()) is features


@pytest.mark.parametrize(
    "wrong", [{"dim": -1}, {"log2_buckets": 3}, {"dropout": 1.0}, {"learning_rate": 0.0}]
)
def test_shapes_no_encoder_can_have_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LexicalConfig(**wrong)  # type: ignore[arg-type]
