"""N processes that refine a part of the codes each give the loss and gradient of one with all."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.contrast.optimisation import DivergedError
from naics_graph.distributed import World
from naics_graph.errors import DatabaseError, PeerLostError
from naics_graph.refine.batches import subgraph_batches
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import CLASSIFIED_AS, ENTRY, EXCLUDES, INDUSTRY
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.refine.objective import RefineObjectiveConfig, RefineWeights
from naics_graph.refine.trainer import train_refinement
from naics_graph.runs import Run, tensors_below
from naics_graph.store.contract import GraphExport, GraphStore
from naics_graph.store.open import open_store
from naics_graph.taxonomy.tree import Tree
from tests.processes import run_processes
from tests.refine.graphs import graph_points, small_graph, small_tree, wide_taxonomy
from tests.refine.test_trainer import logged
from tests.store.sample import retitled

SIZES = (1, 2, 4)
TREE = small_tree((2, 2, 2, 1, 2))
GRAPH = small_graph(TREE, entries_per_leaf=5, exclusions=12)
CURVATURE, DIM = 0.5, 5
SHAPES = {1: (3,), 2: (2, 1)}

CONFIG = RefineConfig(
    fan_out=SHAPES[1],
    epochs=1,
    batch_size=1000,
    gradient_norm=1e9,
    objective=RefineObjectiveConfig(sampled_codes=17),
)


def inputs(graph: GraphExport = GRAPH, tree: Tree = TREE, count: int | None = None) -> RefineInputs:
    """Queries from entries, the first few from exclusions; `count` of them or all."""
    points = graph_points(graph, DIM, CURVATURE)
    label = torch.from_numpy(graph.edges[CLASSIFIED_AS][1])
    exclusion = torch.full((len(label), 2), -1)
    exclusion[:4] = torch.from_numpy(graph.edges[EXCLUDES].T[:4].copy())
    return RefineInputs(
        graph=graph,
        code_points=points[INDUSTRY],
        entry_points=points[ENTRY],
        query_points=points[ENTRY][:count],
        query_code=label[:count],
        query_entry=torch.arange(len(label))[:count],
        query_exclusion=exclusion[:count],
        tree=tree,
        curvature=CURVATURE,
    )


class Trained(NamedTuple):
    """What a process ends with: its log, its weights, the codes."""

    history: tuple[Mapping[str, float], ...]
    weights: NDArray[np.float64]
    codes: NDArray[np.float64]


def open_network(config: RefineConfig) -> RefineNetwork:
    """Every gate open, so that every weight has a gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = RefineNetwork(config.network, DIM, CURVATURE)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith(("gate", "sharpness")):
                    parameter.uniform_(0.3, 0.9)
    return network


def train(
    world: World, folder: Path, config: RefineConfig, given: RefineInputs, **options: Any
) -> Trained:
    run = None
    if world.is_main:
        run = Run.resume(folder) if folder.exists() else Run.create(folder, "")
    try:
        result = train_refinement(
            given, config, run=run, network=open_network(config), world=world, **options
        )
    finally:
        if run is not None:
            run.close()
    weights = torch.cat([p.detach().flatten() for p in result.network.parameters()])
    return Trained(result.history, weights.numpy(), result.code_points.numpy())


def gradient(folder: Path) -> NDArray[np.float64]:
    """Of the run's only step, from Adam's first moment, which is a tenth of it."""
    checkpoint = Run.resume(folder).latest_checkpoint("refine")
    assert checkpoint is not None
    adam = tensors_below("adam.", checkpoint.tensors)
    names = sorted(name for name in adam if name.endswith("exp_avg"))
    return 10.0 * torch.cat([adam[name].flatten() for name in names]).numpy()


def assert_same(results: list[Trained], whole: Trained) -> None:
    """Every process logs and ends with what one process does."""
    for result in results:
        for epoch, wanted in zip(result.history, whole.history, strict=True):
            assert epoch == pytest.approx(wanted, rel=1e-6, abs=1e-9)
        assert np.abs(result.codes - whole.codes).max() <= 1e-6
        assert np.array_equal(result.weights, results[0].weights)


def assert_parity(tmp_path: Path, config: RefineConfig, given: RefineInputs, **more: Any) -> None:
    whole = train(World(), tmp_path / "1", config, given, **more)
    wanted = gradient(tmp_path / "1")
    assert np.linalg.norm(wanted) > 0.01
    for size in SIZES[1:]:
        folder = tmp_path / str(size)
        work = functools.partial(train, **more)
        assert_same(run_processes(work, size, folder, config, given), whole)
        assert np.abs(gradient(folder) - wanted).max() <= 1e-6 * np.linalg.norm(wanted)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("layers", [1, 2])
def test_loss_and_gradient_are_those_of_one_process(
    tmp_path: Path, layers: int, dropout: float
) -> None:
    network = HGCNConfig(layers=layers, dropout=dropout)
    config = dataclasses.replace(CONFIG, network=network, fan_out=SHAPES[layers])
    assert_parity(tmp_path, config, inputs())


def test_fewer_queries_and_anchors_than_processes(tmp_path: Path) -> None:
    objective = RefineObjectiveConfig(sampled_codes=3)
    assert_parity(tmp_path, dataclasses.replace(CONFIG, objective=objective), inputs(count=3))


@pytest.mark.parametrize("part", [f.name for f in dataclasses.fields(RefineWeights)])
def test_each_part_alone_reaches_every_process(tmp_path: Path, part: str) -> None:
    """No process waits for a backward pass another does not run, and each part is exact."""
    weights = {f.name: float(f.name == part) for f in dataclasses.fields(RefineWeights)}
    objective = RefineObjectiveConfig(weights=RefineWeights(**weights), sampled_codes=2)
    config = dataclasses.replace(CONFIG, objective=objective)
    whole = train(World(), tmp_path / "one", config, inputs(count=2))
    assert_same(run_processes(train, 4, tmp_path / "four", config, inputs(count=2)), whole)
    wanted = gradient(tmp_path / "one")
    apart = np.abs(gradient(tmp_path / "four") - wanted).max()
    assert apart <= 1e-6 * max(float(np.linalg.norm(wanted)), 1e-3)


def moved(asked: Tensor, codes: Tensor) -> Tensor:
    """Codes that depend on who is asked."""
    points = graph_points(GRAPH, DIM, CURVATURE, seed=int(asked.sum()) % 7 + 2)[INDUSTRY]
    return points[codes]


def test_codes_without_the_texts_asked_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    assert_parity(tmp_path, CONFIG, inputs(), without=moved)


STEPS = dataclasses.replace(CONFIG, epochs=3, batch_size=31)
"""75 queries: the last batch of an epoch has 13."""


def test_many_steps_with_an_uneven_last_batch(tmp_path: Path) -> None:
    whole = train(World(), tmp_path / "one", STEPS, inputs())
    for size in SIZES[1:]:
        folder = tmp_path / str(size)
        assert_same(run_processes(train, size, folder, STEPS, inputs()), whole)
        records = (folder / "metrics.jsonl").read_text().splitlines()
        assert len(records) == STEPS.epochs


class CutError(Exception):
    pass


def cut(_: str, done: int, __: int) -> None:
    if done == 4:
        raise CutError


def cut_and_resumed(world: World, folder: Path) -> Trained:
    """Stopped in the second epoch; only the first process has the checkpoint of the first."""
    with pytest.raises(CutError):
        train(world, folder, STEPS, inputs(), progress=cut)
    return train(world, folder, STEPS, inputs())


def test_a_resumed_run_is_the_run_to_the_bit(tmp_path: Path) -> None:
    whole, _ = run_processes(train, 2, tmp_path / "whole", STEPS, inputs())
    for resumed in run_processes(cut_and_resumed, 2, tmp_path / "cut"):
        assert resumed.history == whole.history
        assert np.array_equal(resumed.weights, whole.weights)
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def measured_by(world: World, folder: Path) -> list[int]:
    """How often this process measured."""
    seen: list[int] = []

    def validate(codes: Tensor, _: Any) -> dict[str, float]:
        seen.append(len(codes))
        return {"mrr": 0.5}

    config = dataclasses.replace(STEPS, validate_every=2)
    history = train(world, folder, config, inputs(), validate=validate).history
    assert [epoch.get("mrr") for epoch in history] == [None, 0.5, 0.5]
    return seen


def test_the_first_process_measures_for_all(tmp_path: Path) -> None:
    assert run_processes(measured_by, 2, tmp_path / "run") == [[len(TREE.codes)] * 2, []]


def diverged(world: World, folder: Path) -> str:
    given = inputs()
    given.query_points[-1, 1] = float("nan")
    with pytest.raises(DivergedError) as caught:
        train(world, folder, CONFIG, given)
    return caught.value.saw


def too_far_out(world: World, folder: Path) -> str:
    with pytest.raises(DivergedError, match="mean radius") as caught:
        train(world, folder, dataclasses.replace(CONFIG, radius_limit=0.01), inputs())
    return caught.value.saw


def test_a_radius_out_of_bounds_stops_every_process(tmp_path: Path) -> None:
    first, second = run_processes(too_far_out, 2, tmp_path / "run")
    assert first == second


def test_a_loss_that_is_not_finite_stops_every_process(tmp_path: Path) -> None:
    """Also that whose queries are finite."""
    first, second = run_processes(diverged, 2, tmp_path / "run")
    assert "query_code" in first
    assert first == second


def on_database(store: GraphStore) -> RefineInputs:
    return inputs(store.export_graph("2022"), Tree.of(wide_taxonomy()))


def drawn_in_the_database(
    world: World, folder: Path, config: RefineConfig, given: RefineInputs
) -> Trained:
    """The first process alone opens the file, for writing: nobody else could."""
    if not world.is_main:
        return train(world, folder, config, given)
    with open_store(str(folder.parent / "graph.lbug")) as store:
        return train(world, folder, config, given, store=store)


def test_the_first_process_draws_in_the_database_for_all(tmp_path: Path) -> None:
    network = HGCNConfig(layers=2, dropout=0.3)
    config = dataclasses.replace(STEPS, network=network, fan_out=SHAPES[2], batch_size=90, epochs=1)
    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(wide_taxonomy())
        given = on_database(store)
    whole = train(World(), tmp_path / "one", config, given)
    there = dataclasses.replace(config, sampler="database")
    assert_same(run_processes(drawn_in_the_database, 2, tmp_path / "two", there, given), whole)


def on_a_changed_graph(world: World, folder: Path, given: RefineInputs) -> str:
    try:
        drawn_in_the_database(world, folder, CONFIG, given)
    except (DatabaseError, PeerLostError) as error:
        return error.saw
    return "nothing was noticed"


def test_a_graph_that_changed_ends_all(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(wide_taxonomy())
        given = on_database(store)
        store.load(retitled(wide_taxonomy(), "11", "Renamed"))
    first, second = run_processes(on_a_changed_graph, 2, tmp_path / "run", given)
    assert "changed since it was exported" in first
    assert "another process" in second


def test_every_process_leaves_out_what_any_of_the_queries_came_from() -> None:
    given, worlds = inputs(), [World(rank=rank, size=3) for rank in range(3)]
    config = dataclasses.replace(CONFIG, fan_out=(-1,), batch_size=20)
    parts = [subgraph_batches(given, config, 0, world=world) for world in worlds]
    for batches in zip(*parts, strict=True):
        asked = batches[0][INDUSTRY].input_id
        heard = set()
        around = [batch[INDUSTRY].num_sampled_nodes[0] for batch in batches]
        assert sum(around) == len(TREE.codes)
        for batch in batches:
            assert torch.equal(batch[INDUSTRY].input_id, asked)
            heard |= set(batch[ENTRY].n_id.tolist())
        assert not heard & set(given.query_entry[asked].tolist())
        assert len(heard) > len(given.query_code) / 2
