"""Codes without the texts asked: what leaves, for whom, and wherever the data was sent."""

from __future__ import annotations

import pickle

import torch
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.contrast.trainer import build_space
from naics_graph.geometry import lorentz
from naics_graph.refine.inputs import HiddenTexts
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy


def made() -> tuple[ContrastData, CodeSpace, HiddenTexts]:
    """A space whose residuals have learned something, and what its queries hide."""
    data = ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)
    space = build_space(CONFIG, data, 0).eval()
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
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
