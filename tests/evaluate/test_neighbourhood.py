"""Codes never trained on in the whole graph: what each case lets them hear, and what it hides."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.trainer import build_space
from naics_graph.evaluate.held_out import held_out_metrics, placed, without_codes
from naics_graph.evaluate.neighbourhood import GIVEN, Given, Neighbourhood
from naics_graph.geometry import lorentz
from naics_graph.refine.graph import CLASSIFIED_AS, EXCLUDES, HAS_CHILD
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.store.contract import GraphExport
from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import Exclusion, Role, Taxonomy
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy

HELD_OUT = ("111110", "112111")
UNSEEN = {"111110", "11111", "112111"}


def loadable_taxonomy() -> Taxonomy:
    """The small taxonomy with keys of a database, and an exclusion by a held-out code."""
    taxonomy = small_taxonomy()
    text = "selling beans--are classified in 112112"
    industries = tuple(
        dataclasses.replace(i, excluded=(text,)) if i.code == "112111" else i
        for i in taxonomy.industries
    )
    exclusion = Exclusion("112111", "112112", text, "selling beans")
    entries = tuple(dataclasses.replace(e, key=f"2022:{e.key}") for e in taxonomy.entries)
    return Taxonomy("2022", industries, (*taxonomy.exclusions, exclusion), entries)


def exported(taxonomy: Taxonomy, file: Path) -> GraphExport:
    with open_store(str(file)) as store:
        store.load(taxonomy)
        return store.export_graph(taxonomy.vintage)


def neighbourhood(taxonomy: Taxonomy, file: Path) -> Neighbourhood:
    data = ContrastData.of(without_codes(taxonomy, HELD_OUT), RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    graph = exported(taxonomy, file)
    return Neighbourhood.of(space, data, taxonomy, HELD_OUT, RandomEncoder(), graph)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Neighbourhood:
    return neighbourhood(loadable_taxonomy(), tmp_path_factory.mktemp("graph") / "whole")


def ends(graph: GraphExport, relation: tuple[str, str, str]) -> set[tuple[str, str]]:
    speakers = graph.entries if relation == CLASSIFIED_AS else graph.codes
    return {(speakers[s], graph.codes[t]) for s, t in graph.edges[relation].T.tolist()}


def test_each_case_cuts_its_relations_at_codes_never_trained_on_and_nowhere_else(
    around: Neighbourhood,
) -> None:
    assert set(np.array(around.graph.codes)[around.unseen]) == UNSEEN
    whole = {r: ends(around.graph, r) for r in around.graph.edges}
    assert any(t in UNSEEN for _, t in whole[CLASSIFIED_AS])
    assert whole[EXCLUDES] == {("111120", "111110"), ("112111", "112112")}
    known = {
        relation: {(s, t) for s, t in pairs if not UNSEEN & {s, t}}
        for relation, pairs in whole.items()
    }
    cases = {what: around.given(what) for what in GIVEN}
    assert {r: ends(cases["tree"], r) for r in whole} == whole
    assert {r: ends(cases["entries"], r) for r in whole} == whole | {HAS_CHILD: known[HAS_CHILD]}
    assert {r: ends(cases["nothing"], r) for r in whole} == known


def moved(around: Neighbourhood, what: Given, *, code: str = "", entry: str = "") -> set[str]:
    """Codes whose refined points change with the point of one code, or entry, with open gates."""
    torch.manual_seed(0)
    network = RefineNetwork(HGCNConfig(dropout=0.0), CONFIG.map.dim, around.curvature)
    with torch.no_grad():
        for parameter in network.convolutions.parameters():
            if parameter.dim() == 2 and parameter.shape[1] == 5:
                parameter.fill_(1.0)
        graph = around.given(what)
        codes, entries = around.code_points.clone(), around.entry_points.clone()
        before = network.refine_codes(graph, codes, entries)
        points, row = (
            (codes, graph.codes.index(code)) if code else (entries, graph.entries.index(entry))
        )
        origin = torch.zeros_like(points[row])
        origin[0] = around.curvature**-0.5
        points[row] = origin
        after = network.refine_codes(graph, codes, entries)
    changed = (after - before).norm(dim=1) > 1e-9
    return {c for c, has_changed in zip(graph.codes, changed.tolist(), strict=True) if has_changed}


def test_a_held_out_code_hears_its_entries_and_its_parent_only_where_they_are_given(
    around: Neighbourhood,
) -> None:
    entry = next(e for e, code in sorted(ends(around.graph, CLASSIFIED_AS)) if code == "112111")
    by_entry = {what: "112111" in moved(around, what, entry=entry) for what in GIVEN}
    assert by_entry == {"nothing": False, "entries": True, "tree": True}
    by_parent = {what: "112111" in moved(around, what, code="11211") for what in GIVEN}
    assert by_parent == {"nothing": False, "entries": False, "tree": True}
    # Nor does the parent hear the child, which would give it away as well.
    by_child = {what: "11211" in moved(around, what, code="112111") for what in GIVEN}
    assert by_child == {"nothing": False, "entries": False, "tree": True}


def test_validation_entries_are_not_read(around: Neighbourhood, tmp_path: Path) -> None:
    taxonomy = loadable_taxonomy()
    evaluated = {e.key for e in taxonomy.entries if e.role is Role.VALIDATION}
    assert {e.code for e in taxonomy.entries if e.key in evaluated} & set(HELD_OUT)
    assert not evaluated & set(around.graph.entries)
    bare = dataclasses.replace(
        taxonomy, entries=tuple(e for e in taxonomy.entries if e.key not in evaluated)
    )
    again = neighbourhood(bare, tmp_path / "bare")
    assert again.graph.entries == around.graph.entries
    assert torch.equal(again.code_points, around.code_points)
    assert torch.equal(again.entry_points, around.entry_points)


def test_codes_are_where_stage_3_puts_them_and_are_counted_as_there(
    around: Neighbourhood,
) -> None:
    taxonomy = loadable_taxonomy()
    data = ContrastData.of(without_codes(taxonomy, HELD_OUT), RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    assert torch.equal(around.code_points, placed(space, data, taxonomy, RandomEncoder()))
    expected = held_out_metrics(space, data, taxonomy, HELD_OUT, RandomEncoder())
    assert around.metrics(around.code_points) == expected
    assert around.metrics(on_the_parent(around)).parent_at_1 == 1.0


def on_the_parent(around: Neighbourhood) -> Tensor:
    """Every held-out code at the point of its parent, all others far from each other."""
    points = lorentz.expmap0(
        3.0 * torch.randn(len(around.graph.codes), 8, generator=torch.Generator().manual_seed(0)),
        around.curvature,
    ).double()
    for code in HELD_OUT:
        row = around.tree.position[code]
        points[row] = points[int(around.tree.parent[row])]
    return points
