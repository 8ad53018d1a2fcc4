"""Equal and nearly equal texts, against definitions written out naively."""

from __future__ import annotations

import re
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.nearness import NearIndex, jaccard, nearly_equal, normalise, trigrams

words = st.text(alphabet="abAB19 -é'", max_size=12)
phrases = st.text(alphabet="abcd ", min_size=12, max_size=60)


def naive_normalise(text: str) -> str:
    kept = "".join(c if c in string.ascii_lowercase + string.digits else " " for c in text.lower())
    return " ".join(kept.split())


def naive_near(a: str, b: str) -> bool:
    a, b = naive_normalise(a), naive_normalise(b)
    if a == b:
        return True
    grams = [
        {(s[i], s[i + 1], s[i + 2]) for i in range(len(s)) if i + 2 < len(s)}
        for s in (f" {a} ", f" {b} ")
    ]
    return 10 * len(grams[0] & grams[1]) >= 9 * len(grams[0] | grams[1]) > 0


@given(st.text())
def test_normalise(text: str) -> None:
    normal = normalise(text)
    assert normal == naive_normalise(text)
    assert normalise(normal) == normal
    assert re.fullmatch(r"([a-z0-9]+( [a-z0-9]+)*)?", normal)


def test_trigrams_by_hand() -> None:
    assert trigrams("abc") == {" ab", "abc", "bc "}
    assert trigrams("a") == {" a "}
    assert trigrams("") == frozenset()


@given(words, words)
def test_jaccard_is_a_similarity(a: str, b: str) -> None:
    left, right = trigrams(normalise(a)), trigrams(normalise(b))
    assert jaccard(left, right) == jaccard(right, left)
    assert 0 <= jaccard(left, right) <= 1
    assert (jaccard(left, right) == 1) == (left == right != frozenset())
    assert nearly_equal(a, b) == naive_near(a, b)


def test_the_limit_itself_is_near() -> None:
    """Of n and n + 1 different characters, n - 1 of n + 2 trigrams are shared: 9/10 at n = 28."""
    characters = string.ascii_lowercase + string.digits
    at, below = characters[:28], characters[:27]
    assert jaccard(trigrams(at), trigrams(characters[:29])) == 27 / 30
    assert nearly_equal(at, characters[:29])
    assert not nearly_equal(below, at)
    assert at in NearIndex([characters[:29]])
    assert characters[:29] in NearIndex([at])
    assert below not in NearIndex([at])
    assert nearly_equal("Rye farming!", "rye-FARMING")


@settings(deadline=None, max_examples=60)
@given(st.lists(phrases, min_size=1, max_size=12), st.data())
def test_the_index_answers_as_comparing_with_all(texts: list[str], data: st.DataObject) -> None:
    """Asked with texts of its own, one character changed, cut short, or doubled: near the limit."""
    index = NearIndex(texts)
    for text in texts:
        at = data.draw(st.integers(0, len(text) - 1))
        for asked in (
            text,
            text.upper(),
            text[:at] + "z" + text[at + 1 :],
            text + text[at:],
            text[:-2],
            text[at:] + text[:at],
        ):
            assert (asked in index) == any(naive_near(asked, other) for other in texts), asked


@pytest.mark.parametrize("text", ["", "!!", "a"])
def test_short_texts(text: str) -> None:
    assert text not in NearIndex([])
    assert text not in NearIndex(["b c", "long enough"])
    assert text in NearIndex([text])


def test_the_index_agrees_with_matrices_on_real_texts(taxonomy_2022: Taxonomy) -> None:
    """Illustrative examples against titles: products of sparse indicator matrices."""
    held = [industry.title for industry in taxonomy_2022.industries]
    asked = [text for industry in taxonomy_2022.industries for text in industry.examples]
    vectorizer = CountVectorizer(
        analyzer=lambda text: {f" {text} "[i : i + 3] for i in range(len(text))}
    )
    rows = vectorizer.fit_transform([normalise(text) for text in [*held, *asked]])
    sizes = np.asarray(rows.sum(axis=1)).ravel()
    shared = sparse.coo_matrix(rows[len(held) :] @ rows[: len(held)].T)
    union = sizes[len(held) + shared.row] + sizes[shared.col] - shared.data
    near = np.zeros(len(asked), dtype=bool)
    near[shared.row[10 * shared.data >= 9 * union]] = True
    index = NearIndex(held)
    assert [text in index for text in asked] == near.tolist()
    assert 0 < near.sum() < len(asked)
