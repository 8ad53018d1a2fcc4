"""Images of codes and held-out texts after every stage, and what they are worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.artifact import Stage, stage_scores
from naics_graph.evaluate.gates import Evidence
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.retrieval import reciprocal_ranks, retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.taxonomy.tree import Tree


class StageImages:
    """Where the stages put the codes of a tree and the texts held out of training.

    `codes` and `queries` are by stage: (n, h) and (q, h), unit vectors of the first two stages and
    Lorentz points of the others.

    Args:
        tree: of the n codes.
        truth: six-digit codes of the q held-out texts, which may be none.
        curvature: c > 0, the space has curvature -c.
    """

    def __init__(self, tree: Tree, truth: Sequence[str], curvature: float) -> None:
        self.tree, self.curvature = tree, curvature
        self.leaves = np.flatnonzero(tree.depth == 5)
        leaf = {int(position): i for i, position in enumerate(self.leaves)}
        self.truth = np.array([leaf[tree.position[code]] for code in truth], dtype=np.int64)
        self.codes: dict[Stage, Tensor] = {}
        self.queries: dict[Stage, Tensor] = {}

    def put(self, stage: Stage, codes: Tensor, queries: Tensor) -> None:
        """Set the images of a stage, in place of earlier ones."""
        self.codes[stage], self.queries[stage] = codes, queries

    def measure(self, stage: Stage, *, tree: bool) -> dict[str, float]:
        """Retrieval of the held-out texts and, with `tree`, the tree figures, after a stage."""
        metrics: dict[str, float] = {}
        if len(self.truth):
            lca = self.tree.lca_depth[np.ix_(self.leaves, self.leaves)]
            metrics |= dataclasses.asdict(retrieval_metrics(self._scores(stage), self.truth, lca))
        if tree:
            metrics |= dataclasses.asdict(tree_metrics(self._distances(stage), self.tree))
        return metrics

    def evidence(self, stage: Stage) -> Evidence:
        """What the gate of stage 4 is shown of a stage."""
        ranks = np.empty(0)
        if len(self.truth):
            ranks = reciprocal_ranks(self._scores(stage), self.truth)
        return Evidence(ranks, tree_metrics(self._distances(stage), self.tree))

    def _scores(self, stage: Stage) -> NDArray[np.float64]:
        """(q, leaves) scores of the held-out texts."""
        codes = self.codes[stage][self.leaves]
        scores: NDArray[np.float64] = stage_scores(
            stage, self.queries[stage], codes, self.curvature
        ).numpy()
        return scores

    def _distances(self, stage: Stage) -> NDArray[np.float64]:
        codes = self.codes[stage]
        result: NDArray[np.float64] = lorentz.pairwise_distance(
            codes, codes, self.curvature
        ).numpy()
        return result
