"""Codes that training never saw, with the graph around them: what do neighbours add to their texts?

Stages 3 and 4 are trained on a taxonomy without these codes. Afterwards they stand in the whole
graph: with their entries and exclusions, with their place in the tree as well, which half gives
the answer away, or with nothing, where their texts alone put them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.channels import TextEncoder
from naics_graph.encode.reader import TextInputs
from naics_graph.evaluate.held_out import HeldOutMetrics, parent_is_nearest, parents_found, placed
from naics_graph.refine.graph import HAS_CHILD, INDUSTRY
from naics_graph.refine.inputs import query_points
from naics_graph.store.contract import GraphExport
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.tree import Tree

Given = Literal["nothing", "entries", "tree"]
GIVEN: Final[tuple[Given, ...]] = ("nothing", "entries", "tree")
"""What a code never trained on hears: nobody; its entries and exclusions; its parent, too."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """All codes placed after stage 3, and the graph they stand in.

    graph: the whole export. code_points: (n, d+1) of `graph.codes`, those never trained on by their
    texts alone. entry_points: (m, d+1) of `graph.entries`, read as questions. unseen: (n,) bool,
    codes never trained on: the held-out ones and those above that left with them. curvature: c > 0.
    """

    graph: GraphExport
    code_points: Tensor
    entry_points: Tensor
    tree: Tree
    held_out: tuple[str, ...]
    unseen: NDArray[np.bool_]
    curvature: float

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        space: CodeSpace,
        data: ContrastData,
        whole: Taxonomy,
        held_out: Sequence[str],
        encoder: TextEncoder,
        graph: GraphExport,
    ) -> Self:
        """Place every code and entry of the whole graph; arguments as for `held_out_metrics`."""
        text = {entry.key: entry.text for entry in whole.entries if not entry.evaluated}
        texts = TextInputs.of([text[key] for key in graph.entries], encoder, data.vocabulary)
        return cls(
            graph=graph,
            code_points=placed(space, data, whole, encoder),
            entry_points=query_points(space, texts),
            tree=Tree.of(whole),
            held_out=tuple(held_out),
            unseen=~np.isin(graph.codes, data.tree.codes),
            curvature=space.curvature,
        )

    def given(self, what: Given) -> GraphExport:
        """The whole graph as far as the codes never trained on may hear it, and be heard."""
        if what == "tree":
            return self.graph
        edges = dict(self.graph.edges)
        for relation in edges if what == "nothing" else (HAS_CHILD,):
            source, target = edges[relation]
            cut = self.unseen[target]
            if relation[0] == INDUSTRY:
                cut = cut | self.unseen[source]
            edges[relation] = edges[relation][:, ~cut]
        return dataclasses.replace(self.graph, edges=edges)

    def metrics(self, points: Tensor) -> HeldOutMetrics:
        """parent@1 of the held-out codes where all codes are at `points` (n, d+1)."""
        return parents_found(points, self.tree, self.held_out, self.curvature)

    def parents_found(self, points: Tensor) -> NDArray[np.bool_]:
        """(k,) which of the held-out codes find their parent there."""
        return parent_is_nearest(points, self.tree, self.held_out, self.curvature)
