"""What stage 4 is measured against: networks that map codes by other means, and means unlearned.

The networks train as stage 4 does, on the same points, queries, losses and steps; they start at the
identity and are as large or larger.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from naics_graph.geometry import lorentz
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import CLASSIFIED_AS, ENTRY, EXCLUDES, HAS_CHILD, INDUSTRY
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.layers import DEPTHS, SELF, LorentzConv
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.refine.trainer import RefineResult, Without, train_refinement
from naics_graph.runs import Run
from naics_graph.store.contract import GraphExport, Relation
from naics_graph.taxonomy.tree import Tree

NEAREST: Final = 5
ATTACHED: Final = "attached"

Queries = Callable[[Tensor], Tensor]


def trained(
    inputs: RefineInputs,
    config: RefineConfig,
    make: Callable[[], RefineNetwork],
    seed: int,
    without: Without | None = None,
) -> RefineResult:
    """Train the network that `make` gives, from weights drawn by the seed, in a passing run."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
    if isinstance(network, Attached):
        without = network.hiding(without)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", "")
        try:
            return train_refinement(
                inputs, config, run=run, seed=seed, network=network, without=without
            )
        finally:
            run.close()


def networks(
    shape: HGCNConfig, dim: int, curvature: float
) -> dict[str, Callable[[], RefineNetwork]]:
    """Stage 4 and the networks beside it by name: what makes each, of codes (n, dim + 1)."""
    without = tuple(r for r in shape.relations if "classified_as" not in r)
    found: dict[str, tuple[type[RefineNetwork], tuple[str, ...]]] = {
        "stage 4": (RefineNetwork, shape.relations),
        "stage 4 without entries": (RefineNetwork, without),
        "no graph": (RefineNetwork, ()),
        "Euclidean": (Euclidean, shape.relations),
        "GraphSAGE": (Sage, shape.relations),
        "GraphSAGE without entries": (Sage, without),
        "GAT": (Gat, shape.relations),
        "GAT without entries": (Gat, without),
    }
    return {
        name: partial(kind, dataclasses.replace(shape, relations=relations), dim, curvature)
        for name, (kind, relations) in found.items()
    }


def with_siblings(graph: GraphExport, tree: Tree) -> GraphExport:
    """The graph with edges between siblings in the place of the exclusions.

    Sectors are no siblings: they have no common parent in the graph.
    """
    pairs = np.argwhere((tree.parent[:, None] == tree.parent) & (tree.parent >= 0)).T
    siblings = pairs[:, pairs[0] < pairs[1]].astype(np.int64)
    return dataclasses.replace(graph, edges={**graph.edges, EXCLUDES: siblings})


def propagated(points: Tensor, graph: GraphExport, share: float, curvature: float) -> Tensor:
    """Label propagation with restart (Zhou et al. 2004) over the tree, degree-normalised.

    Codes (n, d+1) move toward their neighbours, tangent vectors at the origin, ten rounds; a code
    without neighbours stays.
    """
    parent, child = (torch.from_numpy(end) for end in graph.edges[HAS_CHILD])
    adjacency = torch.zeros(len(points), len(points), dtype=torch.float64)
    adjacency[child, parent] = adjacency[parent, child] = 1.0
    degree = adjacency.sum(dim=1, keepdim=True)
    adjacency /= degree.clamp(min=1.0)
    start = lorentz.logmap0(points, curvature)
    moved = start
    for _ in range(10):
        moved = torch.where(degree > 0, (1.0 - share) * start + share * adjacency @ moved, start)
    return lorentz.expmap0(moved, curvature)


def toward_entries(
    points: Tensor, graph: GraphExport, entry_points: Tensor, share: float, curvature: float
) -> Tensor:
    """Codes (n, d+1) moved toward the mean of their entries, tangent vectors at the origin."""
    entry, code = (torch.from_numpy(end) for end in graph.edges[CLASSIFIED_AS])
    start = lorentz.logmap0(points, curvature)
    heard = lorentz.logmap0(entry_points, curvature)[entry]
    degree = torch.bincount(code, minlength=len(points))[:, None]
    mean = torch.zeros_like(start).index_add(0, code, heard) / degree.clamp(min=1)
    return lorentz.expmap0(
        torch.where(degree > 0, torch.lerp(start, mean, share), start), curvature
    )


def attached(queries: Tensor, entries: Tensor, weight: float, curvature: float) -> Tensor:
    """Queries moved toward their nearest training entries, nearer ones weighing more."""
    near = lorentz.pairwise_distance(queries, entries, curvature).topk(NEAREST, largest=False)
    weights = weight * torch.softmax(-near.values, dim=1)
    points = torch.cat([queries[:, None], entries[near.indices]], dim=1)
    weights = torch.cat([torch.ones_like(weights[:, :1]), weights], 1)
    return lorentz.centroid(points, weights, curvature)


class Attached(RefineNetwork):
    """Stage 4 whose queries hear their nearest training entries, as six-digit codes hear theirs.

    In training no query hears an entry that says its text, or the text of another query of the
    batch: some of that one is mixed into it.

    Args:
        config: of one layer. inputs: where the entries are. own: the queries have a relation of
            their own, whose gate codes have no say in; else they use that of the codes.
    """

    def __init__(self, config: HGCNConfig, inputs: RefineInputs, *, own: bool) -> None:
        dim, curvature = inputs.code_points.shape[1] - 1, inputs.curvature
        super().__init__(config, dim, curvature)
        if own:
            names = (*config.relations, ATTACHED)
            layer = LorentzConv(dim, names, curvature, weighting=config.weighting)
            self.convolutions = nn.ModuleList([layer])
        self.relation: Relation = (ENTRY, ATTACHED if own else CLASSIFIED_AS[1], INDUSTRY)
        self.curvature, self.start = curvature, inputs.code_points
        self.entries, self.own = inputs.entry_points, inputs.query_entry
        self.hidden = torch.zeros(len(self.entries), dtype=torch.bool)

    def hiding(self, without: Without | None) -> Without:
        """What the trainer calls before every step: the points of codes, as `without` or as they
        are, once the entries of the step's queries are out of sight.
        """

        def codes(rows: Tensor, positions: Tensor) -> Tensor:
            self.hide(rows)
            return self.start[positions] if without is None else without(rows, positions)

        return codes

    def hide(self, rows: Tensor) -> None:
        """Put the entries of training queries (b,) out of sight until the next call."""
        own = self.own[rows]
        self.hidden[:] = False
        self.hidden[own[own >= 0]] = True

    def nearest(self, points: Tensor) -> Tensor:
        """(q, NEAREST) numbers of the entries that queries (q, d+1) hear."""
        distance = lorentz.pairwise_distance(points, self.entries, self.curvature)
        if self.training:
            distance[:, self.hidden] = float("inf")
        return distance.topk(NEAREST, largest=False).indices

    def refine_queries(self, points: Tensor) -> Tensor:
        """Texts (q, d+1) among their nearest entries: (q, d+1)."""
        near = torch.cat([self.nearest(part) for part in torch.split(points.detach(), 1024)])
        heard, speaker = torch.unique(near, return_inverse=True)
        listener = torch.arange(len(points)).repeat_interleave(NEAREST)
        nodes = {INDUSTRY: points, ENTRY: self.entries[heard]}
        edges = {self.relation: torch.stack([speaker.flatten(), listener])}
        depth = {INDUSTRY: torch.full((len(points),), DEPTHS)}
        moved: Tensor = self.convolutions[0](nodes, edges, depth)[INDUSTRY]
        return moved


class Tangent(RefineNetwork):
    """A control on tangent vectors at the origin, behind the interface of stage 4."""

    def __init__(self, config: HGCNConfig, dim: int, curvature: float) -> None:
        super().__init__(config, dim, curvature)
        self.curvature, self.relations = curvature, config.relations

    def forward(
        self, points: Mapping[str, Tensor], edges: Mapping[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """Codes (n, d+1) after one layer; arguments as for `RefineNetwork`."""
        tangent = {t: lorentz.logmap0(p, self.curvature) for t, p in points.items()}
        heard = {r: e for r, e in edges.items() if r[2] == INDUSTRY and r[1] in self.relations}
        return lorentz.expmap0(self.moved(tangent, heard, depth), self.curvature)

    def refine_queries(self, points: Tensor) -> Tensor:
        """Texts (q, d+1) as six-digit codes that hear nobody."""
        empty = {INDUSTRY: points, ENTRY: points[:0]}
        nobody = torch.empty(2, 0, dtype=torch.int64)
        edges = {
            (ENTRY if name == "classified_as" else INDUSTRY, name, INDUSTRY): nobody
            for name in self.relations
        }
        moved: Tensor = self(empty, edges, torch.full((len(points),), DEPTHS))
        return moved

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """(n, d) tangent vectors of the codes."""
        raise NotImplementedError

    def project(self) -> None:
        """Nothing to keep within bounds."""

    def gates(self) -> dict[str, float]:
        """Nothing to log."""
        return {}


class Euclidean(Tangent):
    """The convolution of stage 4 with arithmetic means: the same weights, biases and gates."""

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """(n, d) tangent vectors of the codes."""
        layer: Any = self.convolutions[0]
        own, row = tangent[INDUSTRY], depth - 1
        gate = layer.gates(SELF)[row][:, None]
        total, weights = own + gate * self._message(SELF, own), 1.0 + gate
        for (source, name, _), edge in edges.items():
            degree = torch.bincount(edge[1], minlength=len(own)).double()[:, None]
            gate = layer.gates(name)[row][:, None] * (degree > 0)
            heard = torch.zeros_like(own).index_add(
                0, edge[1], self._message(name, tangent[source])[edge[0]]
            )
            total, weights = total + gate * heard / degree.clamp(min=1.0), weights + gate
        mean: Tensor = total / weights
        return mean

    def project(self) -> None:
        """Keep gates at or above zero."""
        RefineNetwork.project(self)

    def _message(self, name: str, tangent: Tensor) -> Tensor:
        layer: Any = self.convolutions[0]
        i = layer._number[name]
        moved: Tensor = tangent @ layer.weight[i].T + layer.bias[i]
        return moved


class Convolved(Tangent):
    """A layer of PyTorch Geometric, one per relation, added through a gate that starts at 0."""

    def __init__(self, config: HGCNConfig, dim: int, curvature: float) -> None:
        from torch_geometric.nn import HeteroConv

        super().__init__(config, dim, curvature)
        del self.convolutions
        sources = {"classified_as": ENTRY}
        self.layer = HeteroConv(
            {
                (sources.get(name, INDUSTRY), name, INDUSTRY): self.convolution(dim)
                for name in config.relations
            },
            aggr="mean",
        ).double()
        self.gate = nn.Parameter(torch.zeros(DEPTHS, dtype=torch.float64))

    def convolution(self, dim: int) -> nn.Module:
        """The layer of one relation."""
        raise NotImplementedError

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """(n, d) tangent vectors of the codes."""
        moved: Tensor = self.layer(tangent, edges)[INDUSTRY]
        return tangent[INDUSTRY] + self.gate[depth - 1][:, None] * moved


class Sage(Convolved):
    """GraphSAGE with means (Hamilton et al. 2017)."""

    def convolution(self, dim: int) -> nn.Module:
        """The layer of one relation."""
        from torch_geometric.nn import SAGEConv

        layer: nn.Module = SAGEConv((dim, dim), dim)
        return layer


class Gat(Convolved):
    """Graph attention (Velickovic et al. 2018), four heads."""

    def convolution(self, dim: int) -> nn.Module:
        """The layer of one relation."""
        from torch_geometric.nn import GATConv

        layer: nn.Module = GATConv(
            (dim, dim), dim // 4, heads=4, add_self_loops=False, residual=True
        )
        return layer
