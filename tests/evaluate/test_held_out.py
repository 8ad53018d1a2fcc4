"""Codes held out of training: what leaves with them, and where their texts put them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.trainer import build_space
from naics_graph.evaluate.held_out import held_out_codes, held_out_metrics, placed, without_codes
from naics_graph.taxonomy.model import Industry, Taxonomy
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy


def many(count: int) -> Taxonomy:
    return Taxonomy("2022", tuple(Industry(f"{i:06d}", "t", None) for i in range(count)))


def test_the_choice_is_the_one_the_design_names() -> None:
    codes = [f"{i:06d}" for i in range(1012)]
    expected = np.random.default_rng(0).choice(codes, 101, replace=False)
    assert held_out_codes(many(1012)) == tuple(sorted(expected.tolist()))


def test_a_code_leaves_with_parents_it_is_the_only_child_of_and_with_its_texts() -> None:
    taxonomy = small_taxonomy()
    pruned = without_codes(taxonomy, ["111110", "112111"])
    gone = {i.code for i in taxonomy.industries} - {i.code for i in pruned.industries}
    assert gone == {"111110", "11111", "112111"}
    assert not pruned.exclusions
    assert {e.code for e in pruned.entries} == {"111120", "112112", "311111"}
    labelled = ContrastData.of(pruned, RandomEncoder(), CONFIG.lexical).labelled
    assert not gone & {text.code for text in labelled}


def test_a_whole_branch_can_leave() -> None:
    pruned = without_codes(small_taxonomy(), ["311111"])
    assert not {"31-33", "311", "3111", "31111"} & {i.code for i in pruned.industries}


def test_held_out_codes_are_placed_by_their_texts_alone() -> None:
    """Residuals move the codes training knew, and none of the others."""
    taxonomy = small_taxonomy()
    held_out = ["111110", "112111"]
    data = ContrastData.of(without_codes(taxonomy, held_out), RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    before = placed(space, data, taxonomy, RandomEncoder())
    with torch.no_grad():
        space.residual.normal_(generator=torch.Generator().manual_seed(0))
    moved = (placed(space, data, taxonomy, RandomEncoder()) - before).norm(dim=1) > 0
    codes = [industry.code for industry in taxonomy.industries]
    still = {code for code, has_moved in zip(codes, moved.tolist(), strict=True) if not has_moved}
    assert still == set(codes) - set(data.tree.codes) == {"111110", "11111", "112111"}
    metrics = held_out_metrics(space, data, taxonomy, held_out, RandomEncoder())
    assert (metrics.codes, metrics.with_siblings) == (2, 1)


def test_a_code_that_says_what_its_parent_says_finds_it() -> None:
    taxonomy = small_taxonomy()
    by_code = {i.code: i for i in taxonomy.industries}
    same = dataclasses.replace(
        by_code["112111"], title=by_code["11211"].title, description="", examples=(), excluded=()
    )
    bare = dataclasses.replace(by_code["11211"], description="", examples=())
    changed = {"112111": same, "11211": bare}
    industries = tuple(changed.get(i.code, i) for i in taxonomy.industries)
    taxonomy = dataclasses.replace(taxonomy, industries=industries, entries=())
    data = ContrastData.of(without_codes(taxonomy, ["112111"]), RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    metrics = held_out_metrics(space, data, taxonomy, ["112111"], RandomEncoder())
    assert metrics.parent_at_1 == metrics.parent_at_1_with_siblings == pytest.approx(1.0)
