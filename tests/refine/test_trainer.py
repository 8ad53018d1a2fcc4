"""The loop: what it gains, that it repeats and resumes to the bit, and that nothing leaks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from naics_graph.config import load_mapping
from naics_graph.contrast.optimisation import DivergedError
from naics_graph.errors import ConfigError, DatabaseError
from naics_graph.geometry import lorentz
from naics_graph.refine.batches import subgraph_batches
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import CLASSIFIED_AS, ENTRY, INDUSTRY
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.refine.objective import RefineObjectiveConfig, RefineWeights
from naics_graph.refine.trainer import RefineResult, train_refinement
from naics_graph.runs import Run
from naics_graph.store.open import open_store
from naics_graph.taxonomy.tree import Tree
from tests.refine.graphs import graph_points, random_points, small_graph, small_tree, wide_taxonomy
from tests.store.sample import retitled

TREE = small_tree((2, 2, 1, 1, 2))
GRAPH = small_graph(TREE, entries_per_leaf=6, exclusions=10)
CURVATURE, DIM = 0.5, 6


def tree_points(noise: float) -> Tensor:
    """Codes near a drawing of the tree: a random step from every parent, then noise."""
    generator = torch.Generator().manual_seed(3)
    steps = torch.randn(len(TREE.codes), DIM, generator=generator, dtype=torch.float64)
    tangent = torch.zeros(len(TREE.codes), DIM, dtype=torch.float64)
    for i, parent in enumerate(TREE.parent.tolist()):
        tangent[i] = 0.6 * torch.nn.functional.normalize(steps[i], dim=0)
        if parent >= 0:
            tangent[i] += tangent[parent]
    tangent += noise * torch.randn(tangent.shape, generator=generator, dtype=torch.float64)
    return lorentz.expmap0(tangent, CURVATURE)


def inputs(noise: float = 0.5) -> RefineInputs:
    """Entries close to where their code ought to be; codes far off: neighbours know better."""
    label = torch.from_numpy(GRAPH.edges[CLASSIFIED_AS][1])
    count = len(label)
    exact = lorentz.logmap0(tree_points(0.0), CURVATURE)[label]
    generator = torch.Generator().manual_seed(7)
    jitter = torch.randn(count, DIM, generator=generator, dtype=torch.float64)
    entries = lorentz.expmap0(exact + 0.15 * jitter, CURVATURE)
    return RefineInputs(
        graph=GRAPH,
        code_points=tree_points(noise),
        entry_points=entries,
        query_points=entries,
        query_code=label,
        query_entry=torch.arange(count),
        query_exclusion=torch.full((count, 2), -1),
        tree=TREE,
        curvature=CURVATURE,
    )


CONFIG = RefineConfig(epochs=4, batch_size=24, fan_out=(4,), learning_rate=2e-3, gate_rate=0.1)


def train(folder: Path, config: RefineConfig = CONFIG, **options: Any) -> RefineResult:
    run = Run.resume(folder) if folder.exists() else Run.create(folder, "")
    try:
        return train_refinement(options.pop("given", inputs()), config, run=run, **options)
    finally:
        run.close()


def logged(folder: Path) -> list[dict[str, Any]]:
    """The records of a run but for the memory it held."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in record.items() if k != "resident_mib"} for record in records]


def hits(codes: Tensor, queries: Tensor) -> float:
    """Share of fresh texts, all entries' in turn, nearest their own six-digit code."""
    leaves = torch.nonzero(torch.from_numpy(TREE.depth) == 5).squeeze(1)
    nearest = lorentz.pairwise_distance(queries, codes[leaves], CURVATURE).argmin(dim=1)
    own = inputs().query_code.repeat(len(queries) // len(inputs().query_code))
    return float((leaves[nearest] == own).double().mean())


def test_neighbours_give_codes_what_their_own_points_lack(tmp_path: Path) -> None:
    given = inputs()
    objective = RefineObjectiveConfig(weights=RefineWeights(triplet=0.0, radius=0.0, hierarchy=0.0))
    result = train(tmp_path / "run", dataclasses.replace(CONFIG, objective=objective, epochs=8))
    losses = [epoch["loss"] for epoch in result.history]
    assert losses[-1] < losses[0]
    entries = lorentz.logmap0(given.entry_points, CURVATURE).repeat(40, 1)
    jitter = torch.randn(entries.shape, generator=torch.Generator().manual_seed(1))
    texts = lorentz.expmap0(entries + 0.1 * jitter, CURVATURE)
    with torch.no_grad():
        refined = hits(result.code_points, result.network.refine_queries(texts))
    assert refined > hits(given.code_points, texts) + 0.1
    assert float(lorentz.sheet_error(result.code_points, CURVATURE).max()) < 1e-12
    assert torch.equal(
        result.network.refine_codes(GRAPH, given.code_points, given.entry_points),
        result.code_points,
    )


def test_seeds_repeat_and_differ(tmp_path: Path) -> None:
    first, again, other = (
        train(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert torch.equal(first.code_points, again.code_points)
    assert first.history == again.history
    assert not torch.equal(first.code_points, other.code_points)


class CutError(Exception):
    pass


def _stop_at(step: int) -> Any:
    def progress(_: str, done: int, __: int) -> None:
        if done == step:
            raise CutError

    return progress


@pytest.mark.parametrize("layers", [1, 2])
def test_a_resumed_run_is_the_run_to_the_bit(tmp_path: Path, layers: int) -> None:
    config = dataclasses.replace(CONFIG, network=HGCNConfig(layers=layers), fan_out=(4, 2)[:layers])
    whole = train(tmp_path / "whole", config)
    steps = -(-len(inputs().query_code) // config.batch_size)
    with pytest.raises(CutError):
        # In the middle of the third epoch: its steps are done again.
        train(tmp_path / "cut", config, progress=_stop_at(2 * steps + 1))
    resumed = train(tmp_path / "cut", config)
    assert torch.equal(resumed.code_points, whole.code_points)
    assert resumed.history == whole.history
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_what_is_measured_is_logged(tmp_path: Path) -> None:
    seen = []

    def validate(codes: Tensor, _: Any) -> dict[str, float]:
        seen.append(codes.shape)
        return {"mrr": 0.5}

    config = dataclasses.replace(CONFIG, epochs=3, validate_every=2)
    train(tmp_path / "run", config, validate=validate)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record.get("mrr") for record in records] == [None, 0.5, 0.5]
    assert seen == [(len(TREE.codes), DIM + 1)] * 2
    names = {"stage", "epoch", "step", "loss", "query_code", "triplet", "radius", "hierarchy"}
    names |= {"temperature", "mean_radius", "gate.1.classified_as", "resident_mib"}
    assert names <= set(records[0])
    assert all(record["resident_mib"] > 10 for record in records)
    # An identity at first: the codes are where they were, and move little in three epochs.
    start = float(lorentz.radius(inputs().code_points, CURVATURE).mean())
    assert records[0]["mean_radius"] == pytest.approx(start, rel=0.05)


def test_the_progress_shows_the_means_of_the_epoch(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, float]]] = []

    class Detailed:
        def __call__(self, what: str, done: int, total: int) -> None:
            """Is shown elsewhere."""

        def detail(self, what: str, values: Mapping[str, float]) -> None:
            seen.append((what, dict(values)))

    config = dataclasses.replace(CONFIG, epochs=1)
    (epoch,) = train(tmp_path / "run", config, progress=Detailed()).history
    what, last = seen[-1]
    assert what == "graph refinement"
    assert {"loss", "query_code", "triplet", "radius", "hierarchy"} == set(last)
    assert {name: epoch[name] for name in last} == last
    assert seen[0][1] != last


def felt_by_own_batch(given: RefineInputs) -> tuple[float, float]:
    """How much batches feel the entries their queries came from, at most; other entries, at least.

    Felt is the gradient of the refined codes in an entry's point, through an open network.
    """
    entries = given.entry_points.clone().requires_grad_()
    network = RefineNetwork(HGCNConfig(), DIM, CURVATURE).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(0.5)
    config = dataclasses.replace(CONFIG, network=HGCNConfig(dropout=0.0), fan_out=(-1,))
    own, others = [], []
    for batch in subgraph_batches(dataclasses.replace(given, entry_points=entries), config, 0):
        codes = batch[INDUSTRY]
        moved = network(batch.x_dict, batch.edge_index_dict, codes.depth)
        (gradient,) = torch.autograd.grad(moved[:, 0].sum(), entries)
        asked = torch.zeros(len(entries), dtype=torch.bool)
        asked[codes.input_id] = True
        own.append(float(gradient[asked].abs().sum(dim=1).max()))
        others.append(float(gradient[~asked].abs().sum(dim=1).min()))
    return max(own), min(others)


def test_a_querys_own_entry_is_not_felt_and_a_planted_leak_is() -> None:
    given = inputs()
    own, others = felt_by_own_batch(given)
    assert own == 0.0
    assert others > 1e-6
    leaky = dataclasses.replace(given, query_entry=torch.full((len(GRAPH.entries),), -1))
    own, _ = felt_by_own_batch(leaky)
    assert own > 1e-6


def test_codes_are_seen_without_the_texts_asked(tmp_path: Path) -> None:
    """Where queries stand in channels, a batch sees the codes that `without` gives for its rows."""
    given = inputs()
    seen = []

    def without(rows: Tensor, codes: Tensor) -> Tensor:
        seen.append(rows)
        return given.code_points[codes]

    plain = train(tmp_path / "plain")
    assert torch.equal(train(tmp_path / "same", without=without).code_points, plain.code_points)
    everyone = torch.arange(len(given.query_code))
    assert torch.equal(torch.cat(seen).sort().values, everyone.repeat_interleave(CONFIG.epochs))
    other = train(tmp_path / "other", without=lambda _, codes: tree_points(0.1)[codes])
    assert not torch.equal(other.code_points, plain.code_points)


def test_both_samplers_train_the_same_network(tmp_path: Path) -> None:
    taxonomy = wide_taxonomy()
    config = dataclasses.replace(CONFIG, network=HGCNConfig(layers=2), fan_out=(3, 2), epochs=2)
    there = dataclasses.replace(config, sampler="database")
    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(taxonomy)
        graph = store.export_graph("2022")
        points = graph_points(graph, DIM, CURVATURE)
        count = len(graph.entries)
        given = RefineInputs(
            graph=graph,
            code_points=points[INDUSTRY],
            entry_points=points[ENTRY],
            query_points=points[ENTRY],
            query_code=torch.from_numpy(graph.edges[CLASSIFIED_AS][1]),
            query_entry=torch.arange(count),
            query_exclusion=torch.full((count, 2), -1),
            tree=Tree.of(taxonomy),
            curvature=CURVATURE,
        )
        cached = train(tmp_path / "cached", config, given=given, store=store)
        database = train(tmp_path / "database", there, given=given, store=store)
        assert database.history == cached.history
        assert torch.equal(database.code_points, cached.code_points)
        store.load(retitled(taxonomy, "11", "Renamed"))
        for name, other in (("changed", config), ("changed-there", there)):
            with pytest.raises(DatabaseError, match="changed since it was exported"):
                train(tmp_path / name, other, given=given, store=store)
    with pytest.raises(ValueError, match="needs the store"):
        train(tmp_path / "none", there)


def test_blending_makes_queries_harder(tmp_path: Path) -> None:
    first = [
        train(tmp_path / str(blend), dataclasses.replace(CONFIG, blend=blend)).history[0]
        for blend in (0.0, 0.4)
    ]
    assert first[1]["query_code"] > first[0]["query_code"] + 0.05


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    broken = inputs()
    broken.query_points[0, 1] = float("nan")
    with pytest.raises(DivergedError, match=r"query_code(.|\n)*stage refine"):
        train(tmp_path / "run", given=broken)


def test_a_radius_out_of_bounds_stops_the_run_and_names_the_largest_part(tmp_path: Path) -> None:
    start = float(lorentz.radius(inputs().code_points, CURVATURE).mean())
    weights = RefineWeights(triplet=1e3)
    config = dataclasses.replace(CONFIG, objective=RefineObjectiveConfig(weights=weights))
    train(tmp_path / "within", dataclasses.replace(config, epochs=1, radius_limit=1.05 * start))
    low = dataclasses.replace(config, radius_limit=0.95 * start)
    said = r"mean radius of the codes became .* at step 0(.|\n)*'triplet'(.|\n)*stage refine"
    with pytest.raises(DivergedError, match=said) as caught:
        train(tmp_path / "beyond", low)
    assert caught.value.exit_code == 5
    assert Run.resume(tmp_path / "beyond").latest_checkpoint("refine") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entry_points": random_points(3, DIM, 1.0)}, "entries of the graph"),
        ({"code_points": random_points(3, DIM, 1.0)}, "codes of the graph"),
        ({"query_code": torch.zeros(3, dtype=torch.int64)}, "differ in number"),
    ],
)
def test_inputs_that_do_not_belong_together_are_refused(
    change: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(inputs(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fan_out": [10, 5]}, "each of 1 layers"),
        ({"fan_out": [0]}, "-1 for all"),
        ({"fan_out": [-2]}, "-1 for all"),
        ({"blend": 1.0}, "in \\[0, 1\\)"),
        ({"warmup": 1.0}, "warmup is 1.0, it must be in \\[0, 1\\)"),
        ({"warmup": -3.0}, "warmup is -3.0, it must be in \\[0, 1\\)"),
        ({"validate_every": -1}, "validate_every is -1, it must be 0 or more"),
        ({"epochs": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"radius_limit": 0.0}, "above 0"),
    ],
)
def test_configurations_no_training_can_use_are_refused(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_mapping(RefineConfig, values)


def test_the_points_given_are_left_alone(tmp_path: Path) -> None:
    given = inputs()
    before = {INDUSTRY: given.code_points.clone(), ENTRY: given.entry_points.clone()}
    train(tmp_path / "run", given=given)
    assert torch.equal(given.code_points, before[INDUSTRY])
    assert torch.equal(given.entry_points, before[ENTRY])
