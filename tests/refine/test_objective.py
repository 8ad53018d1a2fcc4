"""Each part states what it enforces; each part that is on acts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from naics_graph.config import load_mapping
from naics_graph.errors import ConfigError
from naics_graph.geometry import lorentz
from naics_graph.refine.objective import (
    RefineObjective,
    RefineObjectiveConfig,
    RefineWeights,
    fitted_radius_step,
    hyperbolic_triplet,
)
from tests.refine.graphs import random_points, small_tree

TREE = small_tree()
CODES = random_points(len(TREE.codes), 6, 1.0, radius=3.0)
QUERIES = random_points(8, 6, 1.0, radius=3.0, seed=4)
LABEL = torch.tensor([0, 1, 5, 20, 33, 60, 61, 40])
PARTS = [field.name for field in dataclasses.fields(RefineWeights)]


def objective(**weights: float) -> RefineObjective:
    config = RefineObjectiveConfig(weights=RefineWeights(**weights), sampled_codes=20)
    return RefineObjective(config, TREE, 1.0, 0.6)


def parts_of(made: RefineObjective, codes: Tensor = CODES, seed: int = 0) -> dict[str, Tensor]:
    parts: dict[str, Tensor] = made(codes, QUERIES, LABEL, torch.Generator().manual_seed(seed))
    return parts


def test_the_triplet_is_zero_exactly_when_its_inequality_holds() -> None:
    distance = torch.tensor([[0.0, 1.0, 2.0, 1.5], [1.0, 0.0, 3.0, 0.9]])
    allowed = torch.tensor([[False, False, True, True], [False, False, True, True]])
    positive = torch.tensor([1.0, 1.0])
    assert float(hyperbolic_triplet(positive[:1], distance[:1], allowed[:1], 0.5)) == 0.0
    # 1 + .5 - 1.5 = 0 for the first anchor, 1 + .5 - .9 = .6 for the second.
    assert float(hyperbolic_triplet(positive, distance, allowed, 0.5)) == pytest.approx(0.3)
    assert float(hyperbolic_triplet(positive[:0], distance[:0], allowed[:0], 0.5)) == 0.0


def test_triplet_negatives_are_neither_the_code_nor_its_tree_neighbours() -> None:
    """Against a double loop over all codes."""
    made = RefineObjective(RefineObjectiveConfig(sampled_codes=999, margin=0.3), TREE, 1.0, 0.6)
    distance = lorentz.pairwise_distance(CODES, CODES, 1.0)
    hinges = []
    for a in range(len(TREE.codes)):
        near = [p for p in range(len(TREE.codes)) if TREE.distance[a, p] == 1]
        others = [n for n in range(len(TREE.codes)) if TREE.distance[a, n] > 1]
        hardest = min(float(distance[a, n]) for n in others)
        hinges += [max(0.0, float(distance[a, p]) + 0.3 - hardest) for p in near]
    assert float(parts_of(made)["triplet"].detach()) == pytest.approx(sum(hinges) / len(hinges))


def test_query_code_is_a_softmax_over_the_labels_level() -> None:
    """Against a loop over the queries, with smoothing by hand."""
    made = objective()
    distance = lorentz.pairwise_distance(QUERIES, CODES, 1.0)
    temperature, smoothing = float(made.temperature.detach()), made.config.smoothing
    losses = []
    for i, label in enumerate(LABEL.tolist()):
        level = [j for j in range(len(TREE.codes)) if TREE.depth[j] == TREE.depth[label]]
        log_p = torch.log_softmax(-distance[i, level] / temperature, dim=0)
        own = float(log_p[level.index(label)])
        losses.append(-(1 - smoothing) * own - smoothing * float(log_p.mean()))
    assert float(parts_of(made)["query_code"].detach()) == pytest.approx(sum(losses) / len(losses))


@pytest.mark.parametrize("part", PARTS)
def test_switching_a_part_off_changes_the_gradient(part: str) -> None:
    gradients = []
    for made in (objective(), objective(**{part: 0.0})):
        codes = CODES.clone().requires_grad_()
        parts = parts_of(made, codes)
        made.total(parts).backward()  # type: ignore[no-untyped-call]
        assert codes.grad is not None
        gradients.append(codes.grad)
    assert part not in parts
    assert float((gradients[0] - gradients[1]).abs().max()) > 1e-6


def test_a_perfect_tree_has_no_hierarchy_loss_at_any_scale() -> None:
    """Sectors as rays from the origin cannot be had exactly; one chain can."""
    chain = small_tree((1, 1, 1, 1, 1))
    direction = torch.nn.functional.one_hot(torch.tensor(2), 6).double()
    depth = torch.from_numpy(chain.depth).double()
    made = RefineObjective(RefineObjectiveConfig(), chain, 1.0, 0.6)
    for step in (0.3, 1.1):
        codes = lorentz.expmap0(step * depth[:, None] * direction, 1.0)
        parts = made(codes, QUERIES[:1], torch.tensor([4]), torch.Generator())
        assert float(parts["hierarchy"].detach()) == pytest.approx(0.0, abs=1e-12)


def test_the_radius_step_is_a_least_squares_fit() -> None:
    depth = torch.tensor([1, 2, 3, 5])
    assert fitted_radius_step(0.7 * depth.double(), depth) == pytest.approx(0.7)
    noisy = 0.7 * depth + torch.tensor([0.1, -0.2, 0.05, 0.0])
    step = fitted_radius_step(noisy, depth)
    at = [float((noisy - s * depth).square().sum()) for s in (step - 1e-3, step, step + 1e-3)]
    assert at[1] < min(at[0], at[2])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": {"radius": -1.0}}, "0 or more"),
        ({"temperature": 0.0}, "above 0"),
        ({"smoothing": 1.0}, "in \\[0, 1\\)"),
        ({"weights": {"triplets": 1.0}}, "weights.triplet"),
    ],
)
def test_values_no_training_can_use_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_mapping(RefineObjectiveConfig, values)
