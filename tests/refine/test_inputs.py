"""What stage 4 starts from: which edges and texts are a query's own, and the codes without them."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import torch
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import build_space
from naics_graph.encode.channels import text_key
from naics_graph.geometry import lorentz
from naics_graph.refine.graph import EXCLUDES
from naics_graph.refine.inputs import HiddenTexts, RefineInputs, query_points, refine_inputs
from naics_graph.store.open import open_store
from naics_graph.taxonomy.labelled import LabelledText
from naics_graph.taxonomy.model import Exclusion, IndexEntry, Role, Taxonomy
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy


def learned(taxonomy: Taxonomy) -> tuple[ContrastData, CodeSpace]:
    """A space whose residuals have learned something."""
    data = ContrastData.of(taxonomy, RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    return data, space


def made() -> tuple[ContrastData, CodeSpace, HiddenTexts]:
    """Such a space, and what its queries hide."""
    data, space = learned(small_taxonomy())
    return data, space, HiddenTexts(data.channels(space.reader), data.hides)


@torch.no_grad()
def test_a_part_of_the_codes_is_where_all_of_them_are() -> None:
    data, space, hidden = made()
    asked = torch.arange(0, len(data.hides), 5)
    channels = hidden.channels.without(data.hidden(asked))
    wanted = lorentz.expmap0(space.codes(*channels).tangent, space.curvature)
    some = torch.tensor([16, 2, 9])
    for one in (hidden, pickle.loads(pickle.dumps(hidden))):
        points: Tensor = one.codes(space, asked, some)
        torch.testing.assert_close(points, wanted[some], rtol=1e-6, atol=1e-6)
        assert not points.requires_grad


def test_only_codes_with_a_text_that_is_asked_move() -> None:
    data, space, hidden = made()
    everyone, nobody = torch.arange(len(data.tree.codes)), torch.empty(0, dtype=torch.int64)
    still = hidden.codes(space, nobody, everyone)
    for row in range(0, len(data.hides), 7):
        slots = data.texts.slot[torch.isin(torch.from_numpy(data.texts.text), _ids(data, row))]
        moved = (hidden.codes(space, torch.tensor([row]), everyone) - still).abs().sum(dim=1) > 1e-9
        assert set(torch.nonzero(moved).squeeze(1).tolist()) == set((slots // 4).tolist())


def _ids(data: ContrastData, row: int) -> Tensor:
    return torch.tensor(list(data.hides[row]), dtype=torch.int64)


@dataclasses.dataclass(frozen=True)
class Started:
    """What stage 4 starts from on a loaded taxonomy; `asked` are its queries, in order."""

    branch: str
    taxonomy: Taxonomy
    data: ContrastData
    space: CodeSpace
    asked: list[LabelledText]
    inputs: RefineInputs
    hidden: HiddenTexts | None


@pytest.fixture(scope="module", params=["hides", "free"])
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Started:
    """Most texts stand in channels, and all are asked; or most stand in none, and only these are.

    Some entries say what another entry, an example, a title or a clause says.
    """
    plain = small_taxonomy()
    texts = ["Entry 1", "ENTRY 1.", "growing  beans", "Example of 111110", "title 112111"]
    texts += [f"activity {i}" for i in range(90 if request.param == "free" else 3)]
    leaves = [industry.code for industry in plain.industries if len(industry.code) == 6]
    more = [
        # Keys in another order than the texts.
        IndexEntry(f"a{1000 - i}", text, leaves[i % len(leaves)], role=Role.TRAINING)
        for i, text in enumerate(texts)
    ]
    entries = [dataclasses.replace(e, key=f"2022:{e.key}") for e in (*plain.entries, *more)]
    # Its sentence stands in no channel, and its label lies below the code it names.
    other = Exclusion("112111", "3111", "keeping bees--see 3111", "keeping bees")
    taxonomy = dataclasses.replace(
        plain, entries=tuple(entries), exclusions=(*plain.exclusions, other)
    )
    folder = tmp_path_factory.mktemp(str(request.param))
    with open_store(str(folder / "graph.lbug")) as store:
        store.load(taxonomy)
        graph = store.export_graph("2022")
    data, space = learned(taxonomy)
    with torch.no_grad():
        tangent = space.codes(*data.channels(space.reader).full()).tangent
    points = lorentz.expmap0(tangent, space.curvature)
    inputs, hidden = refine_inputs(space, data, graph, points)
    free = [item for item in data.labelled if not data.texts.hides(item)]
    asked = list(data.labelled) if request.param == "hides" else free
    assert 0 < len(free) < len(data.labelled)
    return Started(request.param, taxonomy, data, space, asked, inputs, hidden)


def test_a_query_has_its_own_place_and_label(started: Started) -> None:
    inputs, position = started.inputs, started.data.tree.position
    assert inputs.query_code.tolist() == [position[item.code] for item in started.asked]
    rows = torch.tensor([started.data.labelled.index(item) for item in started.asked])
    data = started.data
    places = query_points(started.space, data.query_inputs.rows(rows), data.query_channel[rows])
    torch.testing.assert_close(inputs.query_points, places)
    assert len(torch.unique(places.round(decimals=6), dim=0)) > len(places) / 2


def test_every_entry_with_a_querys_text_is_its_own_and_no_other_is(started: Started) -> None:
    inputs, entries = started.inputs, [e for e in started.taxonomy.entries if not e.evaluated]
    assert set(inputs.graph.entries) == {entry.key for entry in entries}
    assert len(entries) < len(started.taxonomy.entries)
    most = 0
    for item, row in zip(started.asked, inputs.query_entry.tolist(), strict=True):
        own = [inputs.graph.entries[i] for i in row if i >= 0]
        wanted = [entry.key for entry in entries if text_key(entry.text) == text_key(item.text)]
        assert sorted(own) == sorted(wanted), item
        assert item.entry_key is None or item.entry_key in own
        most = max(most, len(own))
    assert most == 3, "three entries say one text"


def test_entries_stand_where_questions_with_their_texts_do(started: Started) -> None:
    inputs, texts = started.inputs, {e.key: e.text for e in started.taxonomy.entries}
    place = {item.text: i for i, item in enumerate(started.data.labelled)}
    rows = torch.tensor([place[texts[key]] for key in inputs.graph.entries])
    asked = query_points(started.space, started.data.query_inputs.rows(rows))
    torch.testing.assert_close(inputs.entry_points, asked)


def test_the_exclusion_a_clause_was_taken_from_is_its_own(started: Started) -> None:
    inputs = started.inputs
    edges = {
        (inputs.graph.codes[a], inputs.graph.codes[b])
        for a, b in inputs.graph.edges[EXCLUDES].T.tolist()
    }
    clauses = {e.clause: (e.source, e.target) for e in started.taxonomy.exclusions}
    assert set(clauses.values()) == edges
    found = 0
    for item, (source, target) in zip(started.asked, inputs.query_exclusion.tolist(), strict=True):
        if item.source == "exclusion":
            assert (inputs.graph.codes[source], inputs.graph.codes[target]) == clauses[item.text]
            found += 1
        else:
            assert (source, target) == (-1, -1)
    assert found == (2 if started.hidden else 1)


def test_what_is_hidden_is_what_the_channels_say_of_a_query(started: Started) -> None:
    data, hidden = started.data, started.hidden
    own = [data.texts.hides(item) for item in started.asked]
    assert (hidden is None) == (started.branch == "free")
    if hidden is None:
        assert not any(own), "a text that stands in a channel is asked and not hidden"
        return
    assert [list(row) for row in hidden.hides] == own
    for item, row in zip(started.asked, hidden.hides, strict=True):
        standing = data.texts.by_key.get(text_key(item.text))
        assert standing is None or standing in row
    assert all(map(torch.equal, hidden.channels.full(), data.channels(started.space.reader).full()))
    # Nobody is asked: the codes are where stage 3 left them.
    everyone, nobody = torch.arange(len(data.tree.codes)), torch.empty(0, dtype=torch.int64)
    still = hidden.codes(started.space, nobody, everyone)
    torch.testing.assert_close(still, started.inputs.code_points)
