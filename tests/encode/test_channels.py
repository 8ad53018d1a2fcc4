"""Which text stands where, and that a hidden text leaves no trace anywhere."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from naics_graph.encode.channels import ChannelFeatures, ChannelTexts, query_features, text_key
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.labelled import LabelledText, TextSource, labelled_texts
from naics_graph.taxonomy.model import (
    CHANNELS,
    Channel,
    Exclusion,
    IndexEntry,
    Industry,
    Role,
    Taxonomy,
    TaxonomyIndex,
)
from naics_graph.taxonomy.roles import normalise
from tests.tiny_training import without_roles

WIDTH = 8
TITLE, DESCRIPTION, EXAMPLES, EXCLUDED = range(4)


class HashedVectors:
    """A text encoder: a random unit vector drawn from the text's own hash."""

    hidden_size = WIDTH

    def encode(
        self,
        texts: Sequence[str],
        progress: Progress | None = None,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """(n, WIDTH) unit vectors; equal texts in the sense of `text_key` have equal ones."""
        rows = []
        for text in texts:
            seed = hashlib.sha256(text_key(text).encode()).digest()[:8]
            row = np.random.default_rng(int.from_bytes(seed, "big")).normal(size=WIDTH)
            rows.append(row / np.linalg.norm(row))
        return np.asarray(rows, dtype=np.float32).reshape(-1, WIDTH)


def features_of(texts: ChannelTexts) -> ChannelFeatures:
    return ChannelFeatures(texts, torch.from_numpy(HashedVectors().encode(texts.texts)))


def standing(taxonomy: Taxonomy, code: str, channel: int, **options: bool) -> list[str]:
    """The texts in a channel of a code, sorted."""
    texts = ChannelTexts.of(taxonomy, **options)
    return sorted(texts.texts[i] for i in texts.standing(code, CHANNELS[channel]))


GROWING = "Growing soybeans--are classified in Industry 111110, Soybean Farming"
SMALL = Taxonomy(
    vintage="2022",
    industries=(
        Industry("11", "Agriculture", None),
        Industry("111", "Crop Production", "11", description="Growing crops."),
        Industry("11111", "Soybean Farming", "111", described_by="111110"),
        Industry(
            "111110",
            "Soybean  farming",
            "11111",
            description="Growing soybeans and producing soybean seeds.",
            examples=("Soybean seed, growing",),
        ),
        Industry("11112", "Oilseed Farming", "111", excluded=(GROWING, "Nothing else")),
        Industry(
            "111120",
            "Oilseed (except Soybean) Farming",
            "11112",
            examples=("Canola farming",),
            excluded=(GROWING.replace("Growing", "Growing or seeding"), GROWING),
        ),
    ),
    exclusions=(
        Exclusion("11112", "111110", GROWING, "Growing soybeans"),
        Exclusion("111120", "111110", GROWING, "Growing soybeans"),
    ),
    entries=(
        IndexEntry("e1", "soybean seed growing", "111110", role=Role.EXAMPLES),
        IndexEntry("e2", "Flax farming", "111120", role=Role.EXAMPLES),
        IndexEntry("t1", "Sunflower farming", "111120", role=Role.TRAINING),
        IndexEntry("v1", "Rapeseed farming", "111120", role=Role.VALIDATION),
    ),
)


def test_each_channel_holds_its_own_texts() -> None:
    assert standing(SMALL, "111110", TITLE) == ["Soybean Farming"]
    assert standing(SMALL, "111", DESCRIPTION) == ["Growing crops."]
    assert standing(SMALL, "11", DESCRIPTION) == []
    assert standing(SMALL, "111120", EXAMPLES) == ["Canola farming", "Flax farming"]
    assert standing(SMALL, "11112", EXCLUDED) == [GROWING, "Nothing else"]


def test_a_description_that_points_is_the_text_pointed_to() -> None:
    own = standing(SMALL, "111110", DESCRIPTION)
    assert standing(SMALL, "11111", DESCRIPTION) == own
    texts = ChannelTexts.of(SMALL)
    assert texts.standing("11111", "description") == texts.standing("111110", "description")


@pytest.mark.parametrize("target", ["11112", "99999", "11111"])
def test_a_pointer_that_leads_nowhere_leaves_the_channel_empty(target: str) -> None:
    # 11112 points back: a circle.
    industries = [dataclasses.replace(i, description="") for i in SMALL.industries]
    by_code = {i.code: i for i in industries}
    by_code["11111"] = dataclasses.replace(by_code["11111"], described_by=target)
    by_code["11112"] = dataclasses.replace(by_code["11112"], described_by="11111")
    taxonomy = dataclasses.replace(SMALL, industries=tuple(by_code.values()))
    assert standing(taxonomy, "11111", DESCRIPTION) == []


def test_training_entries_are_examples_on_request_and_validation_entries_never() -> None:
    on_request = standing(SMALL, "111120", EXAMPLES, training_examples=True)
    assert on_request == ["Canola farming", "Flax farming", "Sunflower farming"]
    assert "Rapeseed farming" not in ChannelTexts.of(SMALL, training_examples=True).texts


def test_entries_without_roles_are_all_examples() -> None:
    assert "Rapeseed farming" in standing(without_roles(SMALL), "111120", EXAMPLES)


def test_deleting_validation_entries_changes_nothing() -> None:
    kept = tuple(e for e in SMALL.entries if not e.evaluated)
    without = ChannelTexts.of(dataclasses.replace(SMALL, entries=kept))
    texts = ChannelTexts.of(SMALL)
    assert texts.texts == without.texts
    np.testing.assert_array_equal(texts.slot, without.slot)
    np.testing.assert_array_equal(texts.text, without.text)


def test_texts_equal_after_normalising_are_one_text() -> None:
    texts = ChannelTexts.of(SMALL)
    assert texts.standing("11111", "title") == texts.standing("111110", "title")
    assert len(texts.standing("111110", "examples")) == 1
    keys = [text_key(text) for text in texts.texts]
    assert len(keys) == len(set(keys))


def test_texts_without_latin_letters_are_not_all_the_same() -> None:
    assert text_key("大豆") != text_key("小麦")
    assert text_key(" --- ") == "---"
    assert text_key(" \n") == ""


CHANNEL_OF: dict[TextSource, Channel] = {
    "index": "examples",
    "title": "title",
    "exclusion": "excluded",
}


def label(text: str, source: TextSource = "index", holder: str = "111110") -> LabelledText:
    return LabelledText(text, "111110", source, CHANNEL_OF[source], holder)


def hidden_texts(labelled: LabelledText) -> set[str]:
    texts = ChannelTexts.of(SMALL)
    return {texts.texts[i] for i in texts.hides(labelled)}


def test_a_text_hides_itself_and_the_sentences_that_say_it() -> None:
    assert hidden_texts(label("Soybean FARMING!", "title")) == {"Soybean Farming"}
    assert hidden_texts(label("Soybean seed; growing")) == {"Soybean seed, growing"}
    assert hidden_texts(label("Sunflower farming")) == set()
    assert hidden_texts(label("growing soybeans")) == {GROWING}


def test_a_clause_hides_its_sentence_in_every_code_and_those_that_repeat_it() -> None:
    clause = label("Growing soybeans", "exclusion", "11112")
    assert hidden_texts(clause) == {GROWING}
    features, mask = features_of(ChannelTexts.of(SMALL)).without(
        ChannelTexts.of(SMALL).hides(clause)
    )
    position = ChannelTexts.of(SMALL).position
    assert mask[position["11112"], EXCLUDED]
    assert mask[position["111120"], EXCLUDED]
    repeating = label("Growing or seeding soybeans", "exclusion", "111120")
    assert hidden_texts(repeating) == {GROWING.replace("Growing", "Growing or seeding")}
    elsewhere = label("or seeding soybeans", "exclusion", "111110")
    assert hidden_texts(elsewhere) == hidden_texts(repeating)
    too_short_to_say_it = label("seeding soybeans", "exclusion", "111110")
    assert hidden_texts(too_short_to_say_it) == set()
    part_of_a_word = label("rowing soybeans", "exclusion", "11112")
    assert hidden_texts(part_of_a_word) == set()
    assert features.isfinite().all()


def reference(
    texts: ChannelTexts, vectors: NDArray[np.float32], hidden: Iterable[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Means by hand in float64, of the texts that are not hidden."""
    gone = set(hidden)
    features = np.zeros((len(texts.codes), 4, WIDTH))
    mask = np.zeros((len(texts.codes), 4), dtype=bool)
    for slot, text in zip(texts.slot.tolist(), texts.text.tolist(), strict=True):
        if text not in gone:
            features[slot // 4, slot % 4] += vectors[text]
            mask[slot // 4, slot % 4] = True
    norm = np.linalg.norm(features, axis=2, keepdims=True)
    return np.divide(features, norm, out=features, where=norm > 0), mask


def test_channels_are_means_of_unit_length() -> None:
    texts = ChannelTexts.of(SMALL)
    features, mask = features_of(texts).full()
    expected, expected_mask = reference(texts, HashedVectors().encode(texts.texts), [])
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(mask.numpy(), expected_mask)
    assert features.dtype == torch.float32


WORDS = st.sampled_from(["wheat", "Wheat", "corn", "soy", "dogs", "steel", "oats", "rye", ""])


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    """Six codes whose few words repeat over channels, codes and entries."""
    many = st.lists(WORDS, max_size=3).map(tuple)
    industries = [
        dataclasses.replace(
            industry,
            title=draw(WORDS),
            description=draw(WORDS),
            examples=draw(many),
            excluded=draw(many),
        )
        for industry in SMALL.industries
    ]
    entries = [
        IndexEntry(f"e{i}", text, draw(st.sampled_from(["111110", "111120"])), role=Role.EXAMPLES)
        for i, text in enumerate(draw(st.lists(WORDS, max_size=6)))
    ]
    return dataclasses.replace(
        SMALL, industries=tuple(industries), exclusions=(), entries=tuple(entries)
    )


def blanked(taxonomy: Taxonomy, keys: set[str]) -> Taxonomy:
    """The taxonomy with every text of these keys taken out of it."""

    def seen(text: str) -> bool:
        return text_key(text) not in keys

    industries = tuple(
        dataclasses.replace(
            industry,
            title=industry.title if seen(industry.title) else "",
            description=industry.description if seen(industry.description) else "",
            examples=tuple(filter(seen, industry.examples)),
            excluded=tuple(filter(seen, industry.excluded)),
            # A hidden description hides by reference, it does not let another one through.
            described_by=None,
        )
        for industry in taxonomy.industries
    )
    entries = tuple(entry for entry in taxonomy.entries if seen(entry.text))
    return dataclasses.replace(taxonomy, industries=industries, entries=entries)


@settings(max_examples=60, deadline=None)
@given(taxonomy=taxonomies(), hidden=st.sets(WORDS))
def test_hiding_texts_equals_never_having_had_them(taxonomy: Taxonomy, hidden: set[str]) -> None:
    taxonomy = blanked(taxonomy, set())
    texts = ChannelTexts.of(taxonomy)
    keys = {text_key(text) for text in hidden}
    ids = [i for i, text in enumerate(texts.texts) if text_key(text) in keys]
    features, mask = features_of(texts).without(ids)
    expected, expected_mask = features_of(ChannelTexts.of(blanked(taxonomy, keys))).full()
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    assert torch.equal(mask, expected_mask)
    assert not features[~mask].any()


def test_hiding_leaves_the_features_themselves_alone() -> None:
    features = features_of(ChannelTexts.of(SMALL))
    before, mask = (tensor.clone() for tensor in features.full())
    hidden, _ = features.without([0, 1, 2])
    hidden.zero_()
    features.full()[0].zero_()
    after, mask_after = features.full()
    assert torch.equal(before, after)
    assert torch.equal(mask, mask_after)
    assert torch.equal(features.without([])[0], before)


def test_hidden_texts_have_no_influence_to_the_last_bit() -> None:
    texts = ChannelTexts.of(SMALL)
    vectors = torch.from_numpy(HashedVectors().encode(texts.texts))
    hidden = [1, 3, 4]
    changed = vectors.clone()
    changed[hidden] = 1e6
    one, _ = ChannelFeatures(texts, vectors).without(hidden)
    other, _ = ChannelFeatures(texts, changed).without(hidden)
    assert torch.equal(one, other)


def test_a_vector_for_every_text_is_required() -> None:
    with pytest.raises(ValueError, match="1 vectors for"):
        ChannelFeatures(ChannelTexts.of(SMALL), torch.zeros(1, WIDTH))


def test_pooled_is_what_a_code_says_of_itself() -> None:
    texts = ChannelTexts.of(SMALL)
    features = features_of(texts)
    full, _ = features.full()
    i = texts.position["111120"]
    total = full[i, TITLE] + full[i, DESCRIPTION] + full[i, EXAMPLES]
    torch.testing.assert_close(features.pooled()[i], total / total.norm())


def test_a_query_is_one_text_in_its_channel() -> None:
    vectors = torch.eye(3)
    vectors[2] = 0.0
    features, mask = query_features(vectors, torch.tensor([EXAMPLES, TITLE, EXCLUDED]))
    assert torch.equal(features.sum(dim=1), vectors)
    assert torch.equal(features[0, EXAMPLES], vectors[0])
    assert mask.tolist() == [
        [False, False, True, False],
        [True, False, False, False],
        # A text without tokens says nothing in any channel.
        [False, False, False, False],
    ]


class Official(NamedTuple):
    """The channels of NAICS 2022, a random vector for each text, and the training queries."""

    texts: ChannelTexts
    vectors: NDArray[np.float32]
    features: ChannelFeatures
    labelled: tuple[LabelledText, ...]


@pytest.fixture(scope="module")
def official(taxonomy_2022_roles: Taxonomy) -> Official:
    texts = ChannelTexts.of(taxonomy_2022_roles)
    vectors = np.random.default_rng(0).normal(size=(len(texts.texts), WIDTH)).astype(np.float32)
    features = ChannelFeatures(texts, torch.from_numpy(vectors))
    return Official(texts, vectors, features, labelled_texts(taxonomy_2022_roles))


@pytest.mark.census
def test_the_official_texts_hide_themselves_from_their_codes(official: Official) -> None:
    texts = official.texts
    for item in official.labelled:
        hidden = set(texts.hides(item))
        left = [i for i in texts.standing(item.holder, item.channel) if i not in hidden]
        key = normalise(item.text)
        keys = [normalise(texts.texts[i]) for i in left]
        assert key not in keys, item
        if item.source == "exclusion":
            assert hidden, item
            assert not any(f" {key} " in f" {other} " for other in keys), item


@pytest.mark.census
@pytest.mark.parametrize(("channel", "at_least"), [("title", 525), ("description", 522)])
def test_texts_shared_by_twins_go_together(
    official: Official, taxonomy_2022_roles: Taxonomy, channel: Channel, at_least: int
) -> None:
    texts = official.texts
    index = TaxonomyIndex(taxonomy_2022_roles)
    shared = [
        (texts.standing(code, channel), texts.position[code], texts.position[children[0]])
        for code, children in index.children.items()
        if len(children) == 1
        and texts.standing(code, channel)
        and texts.standing(code, channel) == texts.standing(children[0], channel)
    ]
    assert len(shared) >= at_least
    _, mask = official.features.without([i for ids, _, _ in shared for i in ids])
    rows = [row for _, *twins in shared for row in twins]
    assert not mask[rows, CHANNELS.index(channel)].any()


@pytest.mark.census
def test_a_training_step_on_the_official_texts(official: Official) -> None:
    texts, labelled = official.texts, official.labelled
    chosen = np.random.default_rng(0).choice(len(labelled), 512, replace=False)
    hidden = sorted({i for row in chosen for i in texts.hides(labelled[row])})
    assert len(hidden) > 100
    features, mask = official.features.without(hidden)
    expected, expected_mask = reference(texts, official.vectors, hidden)
    np.testing.assert_allclose(features.numpy(), expected, atol=2e-6)
    np.testing.assert_array_equal(mask.numpy(), expected_mask)
