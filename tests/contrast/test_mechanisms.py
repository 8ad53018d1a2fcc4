"""Every mechanism of the objective acts: switched off, the gradient changes."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from naics_graph.contrast.config import ContrastConfig, LossWeights, ObjectiveConfig
from naics_graph.contrast.curriculum import Curriculum, CurriculumConfig, HardPhase, TreePhase
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.losses import rank_lists
from naics_graph.contrast.negatives import NegativesConfig
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.trainer import ContrastTrainer, build_space
from naics_graph.runs import Run
from tests.contrast.test_training import CONFIG, RandomEncoder, small_taxonomy


@pytest.fixture(scope="module")
def data() -> ContrastData:
    return ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)


def step(
    data: ContrastData, config: ObjectiveConfig, seed: int = 1
) -> tuple[dict[str, Tensor], Tensor]:
    """Parts of one step on a few queries, and all gradients in one vector; dropout off."""
    space = build_space(CONFIG, data, 0)
    space.eval()
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    objective = Objective(config, data)
    channels = data.channels(space.reader)
    objective.recluster(space, channels, 0)
    leaves = [i for i, item in enumerate(data.labelled) if len(item.code) == 6]
    batch = data.batch(torch.tensor(leaves[:3]))
    parts = objective(space, channels, batch, torch.Generator().manual_seed(seed))
    objective.total(parts).backward()  # type: ignore[no-untyped-call]
    gradient = [
        (torch.zeros_like(p) if p.grad is None else p.grad).flatten().double()
        for p in space.parameters()
    ]
    return parts, torch.cat(gradient)


def config(query_loss: Literal["softmax", "dcl"] = "softmax", **negatives: Any) -> ObjectiveConfig:
    # Few anchors, so that not all codes label a batch.
    base = dataclasses.replace(CONFIG.objective, query_loss=query_loss, sampled_codes=4)
    return dataclasses.replace(base, negatives=NegativesConfig(**negatives))


MECHANISMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "in_batch": ({"strategies": ("in_batch",)}, {}),
    "hard": ({"strategies": ("hard",), "count": 1}, {}),
    "router": ({"strategies": ("router",), "count": 1}, {}),
    "tree": ({"strategies": ("tree",), "count": 1}, {}),
    "hard beside router": (
        {"strategies": ("hard", "router"), "count": 1},
        {"strategies": ("router",), "count": 1},
    ),
    "router beside hard": (
        {"strategies": ("hard", "router"), "count": 1},
        {"strategies": ("hard",), "count": 1},
    ),
    "tree beside hard": (
        {"strategies": ("hard", "tree"), "count": 1},
        {"strategies": ("hard",), "count": 1},
    ),
    "count": ({"strategies": ("hard",), "count": 1}, {"strategies": ("hard",), "count": 3}),
    "eliminate": ({"eliminate": True, "clusters": 2}, {}),
    "clusters": ({"eliminate": True, "clusters": 2}, {"eliminate": True, "clusters": 8}),
}


@pytest.mark.parametrize("name", list(MECHANISMS))
@pytest.mark.parametrize("query_loss", ["softmax", "dcl"])
@pytest.mark.parametrize("part", ["query_code", "ancestors", "code_code"])
def test_a_choice_of_negatives_changes_the_gradient_of_each_part(
    data: ContrastData, name: str, query_loss: Literal["softmax", "dcl"], part: str
) -> None:
    nothing = {f.name: 0.0 for f in dataclasses.fields(LossWeights)}
    weights = LossWeights(**(nothing | {part: 1.0}))
    on, off = (
        step(data, dataclasses.replace(config(query_loss, **choice), weights=weights))[1]
        for choice in MECHANISMS[name]
    )
    assert torch.isfinite(on).all()
    assert (on - off).norm() > 1e-6


def test_tree_draws_come_from_the_generator_of_the_step(data: ContrastData) -> None:
    drawn = config(strategies=("tree",), count=1)
    assert torch.equal(step(data, drawn, 1)[1], step(data, drawn, 1)[1])
    assert not torch.equal(step(data, drawn, 1)[1], step(data, drawn, 2)[1])


@pytest.mark.parametrize("part", [f.name for f in dataclasses.fields(LossWeights)])
def test_a_weight_of_zero_leaves_the_part_out(data: ContrastData, part: str) -> None:
    base = CONFIG.objective
    with_it, _ = step(data, base)
    without, _ = step(
        data, dataclasses.replace(base, weights=dataclasses.replace(base.weights, **{part: 0.0}))
    )
    assert set(with_it) - set(without) == {part}
    assert all(torch.equal(with_it[name], without[name]) for name in without)


@pytest.mark.parametrize("change", [{"rank_list": 4}, {"rank_width": 0.5}, {"smoothing": 0.0}])
def test_settings_of_the_parts_act(data: ContrastData, change: dict[str, Any]) -> None:
    changed = dataclasses.replace(CONFIG.objective, **change)
    assert (step(data, CONFIG.objective)[1] - step(data, changed)[1]).norm() > 1e-6


def test_rank_lists_hold_the_relatives_and_then_the_nearest(data: ContrastData) -> None:
    tree = torch.from_numpy(data.tree.distance).double()
    n = len(tree)
    distance = torch.rand(n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    listed = rank_lists(distance, tree, 6)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        order = sorted(others, key=lambda j: (min(tree[i, j].item(), 3.0), distance[i, j].item()))
        assert listed[i].tolist() == order[:6]
    assert rank_lists(distance, tree, 100).shape == (n, n - 1)


PHASES = dataclasses.replace(
    CONFIG,
    epochs=6,
    curriculum=CurriculumConfig(
        enabled=True,
        patience=0,
        tree=TreePhase(share=0.25, count=2),
        hard=HardPhase(share=0.25, count=2),
    ),
)


def trained(folder: Path, data: ContrastData, config: ContrastConfig) -> tuple[Tensor, list[Any]]:
    run = Run(folder) if (folder / "config.yaml").exists() else Run.create(folder, "")
    space = ContrastTrainer(config, data, run, 0).train()
    run.close()
    records = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    return torch.cat([p.detach().flatten().double() for p in space.parameters()]), records


def events(folder: Path) -> list[Any]:
    return [json.loads(line) for line in Run(folder).events_file.read_text().splitlines()]


def test_the_curriculum_goes_through_its_phases_and_says_so(
    tmp_path: Path, data: ContrastData, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        with_it, records = trained(tmp_path / "on", data, PHASES)
    assert [record["phase"] for record in records] == [1, 2, 2, 3, 3, 3]
    steps = data.steps_per_epoch(PHASES.batch_size)
    share = math.ceil(0.25 * 6 * steps)
    said = [
        f"curriculum: tree -> hard at step {share}, {share} steps are its share",
        f"curriculum: hard -> eliminate at step {2 * share}, {share} steps are its share",
    ]
    assert [line for line in said if line in caplog.text] == said
    assert events(tmp_path / "on") == [
        {"stage": "contrast", "epoch": at // steps + 1, "step": at, "event": line}
        for at, line in zip((share, 2 * share), said, strict=True)
    ]
    off = dataclasses.replace(PHASES, curriculum=CurriculumConfig())
    without, plain = trained(tmp_path / "off", data, off)
    assert "phase" not in plain[0]
    assert not torch.equal(with_it, without)


# Windows of three steps, an epoch has four: every phase ends with its second window.
IMPATIENT = dataclasses.replace(
    PHASES,
    curriculum=CurriculumConfig(
        enabled=True,
        window=1 / 8,
        threshold=0.99,
        patience=1,
        tree=TreePhase(share=1, count=2),
        hard=HardPhase(share=1, count=2),
    ),
)


def test_measured_progress_ends_a_phase(tmp_path: Path, data: ContrastData) -> None:
    _, records = trained(tmp_path / "run", data, IMPATIENT)
    assert [record["phase"] for record in records] == [1, 2, 2, 3, 3, 3]
    found = [(event["epoch"], event["step"]) for event in events(tmp_path / "run")]
    assert found == [(2, 6), (4, 12)]
    assert all("the query loss fell by" in event["event"] for event in events(tmp_path / "run"))


@pytest.mark.parametrize(("weight", "looked_at"), [(1.0, "query_code"), (0.0, "loss")])
def test_the_curriculum_looks_at_the_query_loss_of_every_step_or_else_at_the_whole(
    tmp_path: Path,
    data: ContrastData,
    monkeypatch: pytest.MonkeyPatch,
    weight: float,
    looked_at: str,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Curriculum, "after", lambda _, loss: seen.append(loss))
    weights = dataclasses.replace(PHASES.objective.weights, query_code=weight)
    objective = dataclasses.replace(PHASES.objective, weights=weights)
    _, records = trained(tmp_path / "run", data, dataclasses.replace(PHASES, objective=objective))
    means = torch.tensor(seen).view(len(records), -1).mean(dim=1).tolist()
    assert means == pytest.approx([record[looked_at] for record in records], rel=1e-5)


@pytest.mark.parametrize("config", [PHASES, IMPATIENT], ids=["by shares", "by progress"])
def test_a_resumed_curriculum_ends_bit_for_bit_where_an_unbroken_one_does(
    tmp_path: Path, data: ContrastData, config: ContrastConfig
) -> None:
    class StopError(Exception):
        pass

    whole, records = trained(tmp_path / "whole", data, config)
    steps = data.steps_per_epoch(config.batch_size)
    # In the first epoch of each phase, and in one of the last.
    for broken in (1, steps + 1, 3 * steps + 2, 5 * steps):

        def stop(_what: str, done: int, _total: int, at: int = broken) -> None:
            if done == at:
                raise StopError

        run = Run.create(tmp_path / f"broken{broken}", "")
        with pytest.raises(StopError):
            ContrastTrainer(config, data, run, 0).train(stop)
        run.close()
        resumed, again = trained(tmp_path / f"broken{broken}", data, config)
        assert torch.equal(resumed, whole)
        for record in (*again, *records):
            record.pop("resident_mib", None)
        assert again == records
        assert events(tmp_path / f"broken{broken}") == events(tmp_path / "whole")


def test_the_router_is_logged_every_epoch_and_a_collapse_is_warned_of_once(
    tmp_path: Path, data: ContrastData, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run.create(tmp_path / "run", "")
    trainer = ContrastTrainer(CONFIG, data, run, 0)
    with torch.no_grad():
        # Equal logits: the same two of three experts are chosen every time.
        trainer.space.text_map.mixture.router.weight.zero_()
    for group in trainer.optimiser.param_groups:
        group["lr"] = 0.0
    with caplog.at_level(logging.WARNING):
        trainer.train()
    run.close()
    records = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    names = {"load_entropy", "router_entropy", "dead_experts", "sector_information"}
    names |= {"channel_information", *(f"load_share_{i}" for i in range(3))}
    assert all(names <= set(record) for record in records)
    assert all(record["dead_experts"] == 1 for record in records)
    assert caplog.text.count("the router has collapsed") == 1
