"""Lorentz graph convolution: a node moves to the centroid of itself and what it hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from naics_graph.geometry import lorentz
from naics_graph.store.contract import Relation

if TYPE_CHECKING:
    from naics_graph.refine.aggregation import CentroidPropagation

SELF: Final = "self"
DEPTHS: Final = 5

Weighting = Literal["attention", "degree"]


class LorentzConv(nn.Module):
    r"""One layer of message passing on the sheet, with relation-typed weights and gates.

        x'_i = centroid({x_i: 1, T_self(x_i): g_self} ∪ {T_r(x_j): g_r a_ij^r : j -r-> i})
        T_r(x) = exp_0(W_r log_0(x) + b_r),   sum_j a_ij^r = 1

    `x_i` with weight 1 is the residual; the gates g >= 0, one per relation and depth of the
    listener, start at 0, where the output is the input and the gradient to every gate still flows.
    A node without neighbours is moved by T_self alone, so a text that is in no graph passes through
    the same map, as a listener at the depth of six-digit codes.

    Nothing normalises a radius, and no node goes farther out than the farthest of what it averages.
    Messages have no bound of their own: |log_0 T_r(x)| <= |W_r| |log_0 x| + |b_r|, where |W_r|
    starts near 1 and x at stage 3's radii, below its `max_radius`; the objective holds the refined
    codes at their depth's. R tanh(|v|/R), stage 3's bound, would shorten every message a second
    time (3 to 2.77 at R = 6), those that go nowhere near R too.

    With `degree` weighting a_ij is 1/degree; with `attention` it is a softmax over
    -s_r d(x_i, T_r(x_j)), where the learned sharpness s_r starts at 0, which is 1/degree.

    Args:
        dim: d of points (..., d+1). relations: names of the relations listened to.
        curvature: c > 0. weighting: as above.
        noise: scale of the deviation of W_r from the identity at the start.
    """

    def __init__(
        self,
        dim: int,
        relations: Sequence[str],
        curvature: float,
        *,
        weighting: Weighting,
        noise: float = 0.02,
    ) -> None:
        super().__init__()
        self.curvature, self.weighting = curvature, weighting
        self.relations = tuple(relations)
        names = (SELF, *self.relations)
        # Off the identity by a little: were T_self(x) = x, its gate would have no gradient.
        start = torch.eye(dim, dtype=torch.float64).repeat(len(names), 1, 1)
        start += noise / dim**0.5 * torch.randn(len(names), dim, dim, dtype=torch.float64)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.zeros(len(names), dim, dtype=torch.float64))
        self.gate = nn.Parameter(torch.zeros(len(names), DEPTHS, dtype=torch.float64))
        self.sharpness = nn.Parameter(torch.zeros(len(names), dtype=torch.float64))
        self._number = {name: i for i, name in enumerate(names)}

    def message(self, name: str, points: Tensor) -> Tensor:
        """T_name of points (k, d+1): (k, d+1)."""
        i = self._number[name]
        tangent = lorentz.logmap0(points, self.curvature)
        return lorentz.expmap0(tangent @ self.weight[i].T + self.bias[i], self.curvature)

    def gates(self, name: str) -> Tensor:
        """(5,) weight of a relation's messages beside the listener itself, by its depth, >= 0."""
        # clamp passes the gradient at its bound: a closed gate can open.
        return self.gate[self._number[name]].clamp(min=0.0)

    def isolated(self, points: Tensor) -> Tensor:
        """The map of nodes (k, d+1) without neighbours: (k, d+1)."""
        both = torch.stack([points.double(), self.message(SELF, points)], dim=-2)
        gate = self.gates(SELF)[DEPTHS - 1]
        weights = torch.stack([torch.ones_like(gate), gate]).expand(len(points), 2)
        return lorentz.centroid(both, weights, self.curvature)

    def forward(
        self,
        points: Mapping[str, Tensor],
        edges: Mapping[Relation, Tensor],
        depth: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Move every node once.

        Args:
            points: (n_t, d+1) by node type.
            edges: (2, e) by relation, speakers above listeners; relations this layer does not
                listen to are passed over.
            depth: (n_t,) 1-5 of the node types to move.

        Returns:
            (n_t, d+1) by node type moved.
        """
        return {t: self._listen(t, points, edges, depth[t] - 1) for t in depth}

    @torch.no_grad()
    def project(self) -> None:
        """Bring gates below 0 back to 0, after an optimiser's step."""
        self.gate.clamp_(min=0.0)

    def _listen(
        self,
        node_type: str,
        points: Mapping[str, Tensor],
        edges: Mapping[Relation, Tensor],
        row: Tensor,
    ) -> Tensor:
        own = points[node_type]
        heard = [
            (name, self.message(name, points[source]), edges[source, name, target])
            for source, name, target in edges
            if target == node_type and name in self.relations
        ]
        here = torch.arange(len(own), device=own.device)
        speakers, listeners = [here, here + len(own)], [here, here]
        sources = [own.double(), self.message(SELF, own)]
        gate = self.gates(SELF)[row]
        weights = [torch.ones_like(gate), gate]
        offset = 2 * len(own)
        for name, messages, edge in heard:
            speakers.append(edge[0] + offset)
            listeners.append(edge[1])
            sources.append(messages)
            weights.append(self.gates(name)[row[edge[1]]] * self._shares(name, own, messages, edge))
            offset += len(messages)
        moved: Tensor = _propagation(self.curvature)(
            torch.cat(sources),
            torch.stack([torch.cat(speakers), torch.cat(listeners)]),
            torch.cat(weights),
            len(own),
        )
        return moved

    def _shares(self, name: str, own: Tensor, messages: Tensor, edge: Tensor) -> Tensor:
        """(e,) weights a_ij of a relation's edges, summing to 1 for every listener."""
        speaker, listener = edge
        if self.weighting == "degree":
            degree = torch.bincount(listener, minlength=len(own))
            return 1.0 / degree[listener].double()
        from naics_graph.refine.pyg import softmax

        distance = lorentz.distance(own[listener], messages[speaker], self.curvature)
        score = -self.sharpness[self._number[name]] * distance
        shares: Tensor = softmax(score, listener, num_nodes=len(own))
        return shares


@cache
def _propagation(curvature: float) -> CentroidPropagation:
    from naics_graph.refine.aggregation import CentroidPropagation

    return CentroidPropagation(curvature)
