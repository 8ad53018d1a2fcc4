"""What stage 4 starts from. All of it is data: the first process sends it to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.channels import QUERY_CHANNEL, ChannelFeatures
from naics_graph.encode.reader import TextInputs
from naics_graph.geometry import lorentz
from naics_graph.refine.graph import without_entries
from naics_graph.refine.own_edges import own_entries, own_exclusions
from naics_graph.store.contract import GraphExport
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True, slots=True)
class RefineInputs:
    """Points of stage 3, all (..., d+1) float64, and the graph.

    graph: the export; `graph.codes` are `tree.codes` in the same order. code_points: (n, d+1).
    entry_points: (m, d+1) images of `graph.entries` as queries. query_points: (q, d+1) training
    queries. query_code: (q,) position of the label, of any level. query_entry: (q, k) positions of
    the entries that say the query's text, or -1. query_exclusion: (q, 2) code positions of the
    exclusion its clause was taken from, or -1. curvature: c > 0.
    """

    graph: GraphExport
    code_points: Tensor
    entry_points: Tensor
    query_points: Tensor
    query_code: Tensor
    query_entry: Tensor
    query_exclusion: Tensor
    tree: Tree
    curvature: float

    def __post_init__(self) -> None:
        """Refuse rows that do not belong together."""
        if self.graph.codes != self.tree.codes or len(self.code_points) != len(self.tree.codes):
            raise ValueError("codes of the graph, of the tree and of the points differ")
        if len(self.entry_points) != len(self.graph.entries):
            raise ValueError("entries of the graph and of the points differ")
        rows = {len(self.query_points), len(self.query_code), len(self.query_entry)}
        if rows != {len(self.query_exclusion)}:
            raise ValueError("points, labels and own edges of the queries differ in number")


@dataclass(frozen=True, slots=True)
class HiddenTexts:
    """What leaves the channels of the codes while queries are asked that stand in them.

    channels: of all n codes. hides[i]: ids of the texts hidden while query i is asked.
    """

    channels: ChannelFeatures
    hides: tuple[Sequence[int], ...]

    @torch.no_grad()
    def codes(self, space: CodeSpace, asked: Tensor, codes: Tensor) -> Tensor:
        """(k, d+1) points that stage 3's space gives codes without the texts of some queries.

        Args:
            space: in evaluation mode.
            asked: (b,) rows of the queries.
            codes: (k,) positions of the codes.
        """
        hidden = {text for row in asked.tolist() for text in self.hides[row]}
        vectors, mask = self.channels.without(sorted(hidden))
        tangent = space.codes(vectors[codes], mask[codes], codes).tangent
        return lorentz.expmap0(tangent, space.curvature)


@torch.no_grad()
def refine_inputs(
    space: CodeSpace, data: ContrastData, graph: GraphExport, code_points: Tensor
) -> tuple[RefineInputs, HiddenTexts | None]:
    """What stage 4 starts from after stage 3, and what it hides anew, if anything.

    Texts that stand in no channel are asked of the codes as they are. Where these are fewer than
    half, all are asked, and every batch leaves the channels while it is asked.

    Args:
        space: trained, in evaluation mode; all its texts are read by a frozen backbone.
        data: what it was trained on.
        graph: of the same codes; entries that stage 3 never saw leave it.
        code_points: (n, d+1) after stage 3.
    """
    rows = {t.entry_key: i for i, t in enumerate(data.labelled) if t.entry_key is not None}
    graph = without_entries(graph, rows)
    named = torch.tensor([rows[key] for key in graph.entries], dtype=torch.int64)
    free = torch.tensor([row for row, hidden in enumerate(data.hides) if not hidden])
    hides = 2 * len(free) < len(data.hides)
    asked = torch.arange(len(data.hides)) if hides else free
    labelled = [data.labelled[i] for i in asked]
    inputs = RefineInputs(
        graph=graph,
        code_points=code_points,
        entry_points=query_points(space, data.query_inputs.rows(named)),
        query_points=query_points(space, data.query_inputs.rows(asked), data.query_channel[asked]),
        query_code=data.query_code[asked],
        query_entry=own_entries(labelled, [data.labelled[i].text for i in named]),
        query_exclusion=own_exclusions(labelled, data.tree.position),
        tree=data.tree,
        curvature=space.curvature,
    )
    if not hides:
        return inputs, None
    return inputs, HiddenTexts(data.channels(space.reader), tuple(data.hides))


@torch.no_grad()
def query_points(space: CodeSpace, texts: TextInputs, channel: Tensor | None = None) -> Tensor:
    """(b, d+1) images of texts after stage 3, each in its channel (b,), default the queries'."""
    if channel is None:
        channel = torch.full((len(texts),), QUERY_CHANNEL)
    return lorentz.expmap0(space.queries(texts, channel).tangent, space.curvature).cpu()
