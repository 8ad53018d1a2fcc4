"""Message passing of PyTorch Geometric whose aggregation is the weighted Lorentz centroid."""

from __future__ import annotations

from torch import Tensor

from naics_graph.geometry import lorentz
from naics_graph.refine.pyg import MessagePassing


class CentroidPropagation(MessagePassing):  # type: ignore[misc]
    """Sends points along weighted edges; every listener receives their centroid.

    Args:
        curvature: c > 0 of a space of curvature -c.
    """

    def __init__(self, curvature: float) -> None:
        super().__init__(aggr=None, node_dim=0)
        self.curvature = curvature

    def forward(self, points: Tensor, edge_index: Tensor, weight: Tensor, size: int) -> Tensor:
        """Centroids (size, d+1).

        Args:
            points: (k, d+1) of the speakers.
            edge_index: (2, e), speakers above listeners.
            weight: (e,) >= 0, with a positive sum for every listener.
            size: number of listeners.
        """
        heard: Tensor = self.propagate(
            edge_index, points=(points, None), weight=weight, size=(len(points), size)
        )
        return heard

    def message(self, points_j: Tensor) -> Tensor:
        """(e, d+1) what each edge carries."""
        return points_j

    def aggregate(
        self, inputs: Tensor, index: Tensor, weight: Tensor, dim_size: int | None = None
    ) -> Tensor:
        """(size, d+1) centroids of the messages by listener."""
        size = int(index.max()) + 1 if dim_size is None else dim_size
        return lorentz.segment_centroid(inputs, weight, index, size, self.curvature)
