"""Stage 3 on a small taxonomy: every part acts, hidden texts leave no trace, training resumes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph import memory
from naics_graph.contrast.config import ContrastConfig, LossWeights, ObjectiveConfig
from naics_graph.contrast.data import Batch, ContrastData, SourceWeights
from naics_graph.contrast.negatives import NegativesConfig, Strategy
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.optimisation import DivergedError
from naics_graph.contrast.space import TEMPERATURES, CodeSpace
from naics_graph.contrast.trainer import ContrastTrainer, build_space
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.lexical import LexicalConfig
from naics_graph.encode.mixture import MixtureConfig
from naics_graph.encode.reader import TextInputs
from naics_graph.encode.text_map import TextMapConfig, TextMapOutput
from naics_graph.errors import NaicsGraphError, OutOfMemoryError
from naics_graph.runs import Run
from naics_graph.store.contract import Progress
from naics_graph.taxonomy.model import Exclusion, IndexEntry, Industry, Role, Taxonomy

WIDTH = 24


class RandomEncoder:
    """Unit vectors that depend on the text alone."""

    @property
    def hidden_size(self) -> int:
        return WIDTH

    def encode(
        self,
        texts: Sequence[str],
        progress: Progress | None = None,  # noqa: ARG002  (the protocol's argument)
    ) -> NDArray[np.float32]:
        rows = [np.random.default_rng(list(text.encode())).standard_normal(WIDTH) for text in texts]
        matrix = np.array(rows).reshape(-1, WIDTH)
        unit = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
        return np.asarray(unit, dtype=np.float32)


def small_taxonomy() -> Taxonomy:
    codes = ["11", "111", "1111", "11111", "111110", "11112", "111120", "112", "1121", "11211"]
    codes += ["112111", "112112", "31-33", "311", "3111", "31111", "311111"]
    parents = {"311": "31-33"}
    industries = tuple(
        Industry(
            code,
            f"title {code}",
            None if len(code) == 2 or "-" in code else parents.get(code, code[:-1]),
            description=f"what {code} does",
            examples=(f"example of {code}",),
            excluded=("growing beans--are classified in 111110",) if code == "111120" else (),
        )
        for code in codes
    )
    leaves = [code for code in codes if len(code) == 6]
    entries = tuple(
        IndexEntry(
            f"e{i}", f"entry {i}", leaves[i % len(leaves)], role=list(Role)[i % len(list(Role))]
        )
        for i in range(24)
    )
    exclusion = Exclusion(
        "111120", "111110", "growing beans--are classified in 111110", "growing beans"
    )
    return Taxonomy("2022", industries, (exclusion,), entries)


CONFIG = ContrastConfig(
    lexical=LexicalConfig(dim=6, log2_buckets=10),
    map=TextMapConfig(dim=8, width=16, mixture=MixtureConfig(experts=3, top_k=2, hidden=8)),
    objective=ObjectiveConfig(sampled_codes=12, weights=LossWeights(residual=0.1, lambda_rank=0.1)),
    epochs=4,
    batch_size=20,
)


@pytest.fixture(scope="module")
def data() -> ContrastData:
    return ContrastData.of(small_taxonomy(), RandomEncoder(), CONFIG.lexical)


def gradient(space: CodeSpace, data: ContrastData, config: ObjectiveConfig) -> Tensor:
    """All gradients of one step in one vector, dropout off."""
    space.eval()
    space.zero_grad(set_to_none=False)
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    objective = Objective(config, data)
    batch = data.batch(torch.arange(0, len(data.query_code), 3))
    parts = objective(space, data.channels(space.reader), batch, torch.Generator().manual_seed(1))
    objective.total(parts).backward()  # type: ignore[no-untyped-call]
    return torch.cat(
        [
            (torch.zeros_like(p) if p.grad is None else p.grad).flatten().double()
            for p in space.parameters()
        ]
    )


@pytest.mark.parametrize("part", [f.name for f in dataclasses.fields(LossWeights)])
def test_switching_a_part_off_changes_the_gradient(data: ContrastData, part: str) -> None:
    config = CONFIG.objective
    without = dataclasses.replace(config, weights=dataclasses.replace(config.weights, **{part: 0}))
    space = build_space(CONFIG, data, 0)
    difference = gradient(space, data, config) - gradient(space, data, without)
    assert difference.norm() > 1e-9


def test_query_losses_differ(data: ContrastData) -> None:
    space = build_space(CONFIG, data, 0)
    softmax = gradient(space, data, CONFIG.objective)
    dcl = gradient(space, data, dataclasses.replace(CONFIG.objective, query_loss="dcl"))
    assert (softmax - dcl).norm() > 1e-6


@pytest.mark.parametrize("curvature", [0.1, 0.5, 2.0, 10.0])
def test_gradients_are_finite_at_every_curvature(data: ContrastData, curvature: float) -> None:
    space = build_space(dataclasses.replace(CONFIG, curvature=curvature), data, 0)
    assert torch.isfinite(gradient(space, data, CONFIG.objective)).all()


def test_a_query_is_in_no_channel_while_it_is_asked(data: ContrastData) -> None:
    """Codes of a step are those of a taxonomy that never held the step's texts."""
    source = next(i for i, t in enumerate(data.labelled) if t.text == "example of 111110")
    clause = next(i for i, t in enumerate(data.labelled) if t.text == "growing beans")
    batch = data.batch(torch.tensor([source, clause]))
    taxonomy = small_taxonomy()
    pruned = dataclasses.replace(
        taxonomy,
        industries=tuple(
            dataclasses.replace(
                i,
                examples=tuple(e for e in i.examples if e != "example of 111110"),
                excluded=(),
            )
            for i in taxonomy.industries
        ),
    )
    never = ContrastData.of(pruned, RandomEncoder(), CONFIG.lexical)
    inputs = TextInputs.of(never.texts.texts, RandomEncoder(), data.vocabulary)
    reader = build_space(CONFIG, data, 0).reader
    expected = dataclasses.replace(never, channel_inputs=inputs).channels(reader).full()
    channels = data.channels(reader)
    seen = channels.without(batch.hidden)
    assert torch.equal(seen[1], expected[1])
    assert torch.allclose(seen[0], expected[0], atol=1e-6)
    assert not torch.equal(seen[1], channels.full()[1])


def test_validation_entries_are_neither_queries_nor_channels(data: ContrastData) -> None:
    taxonomy = small_taxonomy()
    bare = dataclasses.replace(
        taxonomy, entries=tuple(e for e in taxonomy.entries if not e.evaluated)
    )
    again = ContrastData.of(bare, RandomEncoder(), CONFIG.lexical)
    assert again.labelled == data.labelled
    assert torch.equal(again.vocabulary.idf, data.vocabulary.idf)
    assert torch.equal(again.channel_inputs.vectors, data.channel_inputs.vectors)


def test_without_the_lexical_encoder_there_is_none(tmp_path: Path, data: ContrastData) -> None:
    config = dataclasses.replace(CONFIG, lexical=LexicalConfig(dim=0), epochs=1)
    run = Run.create(tmp_path / "run", "")
    space = ContrastTrainer(config, data, run, 0).train()
    run.close()
    assert not list(space.reader.parameters())
    assert space.text_map.project.shape[1] == WIDTH


def test_the_lexical_encoder_learns(data: ContrastData) -> None:
    space = build_space(CONFIG, data, 0)
    gradient(space, data, CONFIG.objective)
    assert space.reader.lexical is not None
    assert space.reader.lexical.table.grad is not None
    assert space.reader.lexical.table.grad.abs().sum() > 0


def test_codes_never_trained_on_keep_a_residual_of_zero(data: ContrastData) -> None:
    space = build_space(CONFIG, data, 0)
    space.trained[3] = False
    with torch.no_grad():
        space.residual.fill_(1.0)
    assert space.known_residual()[3].abs().sum() == 0
    assert (space.known_residual()[4] == 1).all()


def trained(folder: Path, data: ContrastData, config: ContrastConfig, seed: int = 0) -> Tensor:
    run = Run(folder) if (folder / "config.yaml").exists() else Run.create(folder, "")
    space = ContrastTrainer(config, data, run, seed).train()
    run.close()
    return torch.cat([p.detach().flatten().double() for p in space.parameters()])


def test_seeds_reproduce_and_differ(tmp_path: Path, data: ContrastData) -> None:
    first = trained(tmp_path / "a", data, CONFIG)
    assert torch.equal(first, trained(tmp_path / "b", data, CONFIG))
    assert not torch.equal(first, trained(tmp_path / "c", data, CONFIG, seed=1))


def test_a_resumed_run_ends_bit_for_bit_where_an_unbroken_one_does(
    tmp_path: Path, data: ContrastData
) -> None:
    class StopError(Exception):
        pass

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 2 * data.steps_per_epoch(CONFIG.batch_size) + 1:
            raise StopError

    run = Run.create(tmp_path / "broken", "")
    with pytest.raises(StopError):
        ContrastTrainer(CONFIG, data, run, 0).train(stop)
    run.close()
    resumed = trained(tmp_path / "broken", data, CONFIG)
    assert torch.equal(resumed, trained(tmp_path / "whole", data, CONFIG))


def test_the_progress_shows_the_means_of_the_epoch(tmp_path: Path, data: ContrastData) -> None:
    seen: list[tuple[str, dict[str, float]]] = []

    class Detailed:
        def __call__(self, what: str, done: int, total: int) -> None:
            """Is shown elsewhere."""

        def detail(self, what: str, values: Mapping[str, float]) -> None:
            seen.append((what, dict(values)))

    run = Run.create(tmp_path / "run", "")
    config = dataclasses.replace(CONFIG, epochs=1)
    ContrastTrainer(config, data, run, 0).train(Detailed())
    run.close()
    epoch = json.loads(run.metrics_file.read_text())
    what, last = seen[-1]
    assert len(seen) == data.steps_per_epoch(config.batch_size)
    assert what == "contrastive learning"
    assert set(last) == {"loss", *(f.name for f in dataclasses.fields(LossWeights))}
    assert {name: epoch[name] for name in last} == last
    assert seen[0][1] != last


def test_training_lowers_the_loss_and_leaves_the_callers_generator_alone(
    tmp_path: Path, data: ContrastData
) -> None:
    config = dataclasses.replace(CONFIG, epochs=30)
    run = Run.create(tmp_path / "run", "")
    torch.manual_seed(7)
    ContrastTrainer(config, data, run, 0).train()
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))
    run.close()
    losses = [json.loads(line)["loss"] for line in run.metrics_file.read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]


def test_a_loss_that_is_not_finite_stops_and_is_named(tmp_path: Path, data: ContrastData) -> None:
    run = Run.create(tmp_path / "run", "")
    trainer = ContrastTrainer(CONFIG, data, run, 0)
    with torch.no_grad():
        trainer.space.residual[:] = float("nan")
    with pytest.raises(DivergedError, match="query_code"):
        trainer.train()
    assert run.latest_checkpoint("contrast") is None


class Faulty(Objective):
    """An objective that goes wrong in one step."""

    fault, step, at = "", 0, 0

    def __call__(
        self,
        space: CodeSpace,
        channels: ChannelFeatures,
        batch: Batch,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        parts = super().__call__(space, channels, batch, generator)
        self.step += 1
        if self.step != self.at:
            return parts
        if self.fault == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.fault == "radius":
            self.mean_radius = self.mean_radius + 9.0
        elif self.fault == "gradient":
            # Zero, whose slope is infinity times zero.
            parts["hierarchy"] = parts["hierarchy"] + (0.0 * space.residual.sum()).sqrt()
        else:
            parts[self.fault] = parts[self.fault] * float("nan")
        return parts


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("lambda_rank", DivergedError, "the loss part 'lambda_rank' became nan"),
        ("gradient", DivergedError, "the gradient of residual became nan"),
        ("radius", DivergedError, "mean radius of the codes"),
        ("memory", OutOfMemoryError, r"lower contrast\.batch_size"),
    ],
)
def test_a_late_fault_leaves_the_last_good_checkpoint_to_go_on_from(
    tmp_path: Path, data: ContrastData, fault: str, error: type[NaicsGraphError], said: str
) -> None:
    run = Run.create(tmp_path / "run", "")
    trainer = ContrastTrainer(CONFIG, data, run, 0)
    objective = Faulty(CONFIG.objective, data, trainer.router)
    objective.fault, objective.at = fault, 2 * trainer.steps + 2
    trainer.objective = objective
    with pytest.raises(error, match=said), memory.explained_shortage("train"):
        trainer.train()
    run.close()
    found = Run(tmp_path / "run").latest_checkpoint("contrast")
    assert found is not None
    assert found.epoch == 2
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found.tensors.values())
    assert torch.equal(
        trained(tmp_path / "run", data, CONFIG), trained(tmp_path / "whole", data, CONFIG)
    )


def test_a_radius_out_of_bounds_after_an_epochs_last_step_is_no_checkpoint(
    tmp_path: Path, data: ContrastData
) -> None:
    run = Run.create(tmp_path / "run", "")
    trainer = ContrastTrainer(dataclasses.replace(CONFIG, epochs=2), data, run, 0)
    step, last = trainer.optimiser.step, 2 * trainer.steps

    def stray() -> None:
        nonlocal last
        step()
        last -= 1
        if not last:
            with torch.no_grad():
                trainer.space.residual.mul_(0.0).add_(9.0)

    trainer.optimiser.step = stray  # type: ignore[method-assign,assignment]
    with pytest.raises(DivergedError, match=f"mean radius .* at step {2 * trainer.steps}"):
        trainer.train()
    found = run.latest_checkpoint("contrast")
    run.close()
    assert found is not None
    assert found.epoch == 1


def rescaled(space: CodeSpace, k: float) -> CodeSpace:
    """The same figure in the space of curvature k times as strong: all lengths / sqrt(k)."""
    other, root = copy.deepcopy(space), math.sqrt(k)
    placed, queries = other.placed, other.queries

    def smaller(inputs: TextInputs, channel: Tensor) -> TextMapOutput:
        output = queries(inputs, channel)
        return output._replace(tangent=output.tangent / root)

    other.placed = lambda *of: placed(*of) / root  # type: ignore[method-assign]
    other.queries = smaller  # type: ignore[method-assign]
    other.curvature = k * space.curvature
    with torch.no_grad():
        other.log_temperature.sub_(math.log(root))
        other.log_scale.add_(math.log(root))
    return other


@pytest.mark.parametrize("query_loss", ["softmax", "dcl"])
@pytest.mark.parametrize("strategy", ["all", "in_batch", "hard", "router", "tree"])
@pytest.mark.parametrize("k", [0.2, 5.0])
def test_only_lengths_times_the_root_of_the_curvature_count(
    data: ContrastData, query_loss: Literal["softmax", "dcl"], strategy: Strategy, k: float
) -> None:
    """The law that fails where a part, a negative or a cluster is right at one curvature only."""
    space = build_space(CONFIG, data, 0).eval()
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))
    negatives = NegativesConfig(strategies=(strategy,), count=3, eliminate=True, clusters=4)
    config = dataclasses.replace(CONFIG.objective, query_loss=query_loss, negatives=negatives)
    smaller = dataclasses.replace(
        config,
        rank_width=config.rank_width / math.sqrt(k),
        radius_step=config.radius_step / math.sqrt(k),
    )
    batch = data.batch(torch.arange(0, len(data.query_code), 3))
    channels = data.channels(space.reader)

    def parts(space: CodeSpace, config: ObjectiveConfig) -> dict[str, Tensor]:
        objective = Objective(config, data)
        objective.recluster(space, channels, 0)
        found = objective(space, channels, batch, torch.Generator().manual_seed(1))
        return {name: part.detach() for name, part in found.items()}

    ours, others = parts(space, config), parts(rescaled(space, k), smaller)
    others["radius"] = k * others["radius"]
    for name, part in ours.items():
        assert float(others[name]) == pytest.approx(float(part), rel=1e-6), name


def test_the_temperature_learns_within_its_bounds_and_comes_back(data: ContrastData) -> None:
    space = build_space(CONFIG, data, 0)
    least, most = TEMPERATURES
    for bound, beyond in ((least, -9.0), (most, 9.0)):
        with torch.no_grad():
            space.log_temperature.fill_(beyond)
        space.bound_temperature()
        assert float(space.temperature.detach()) == pytest.approx(bound)
        gradient(space, data, CONFIG.objective)
        assert space.log_temperature.grad is not None
        assert float(space.log_temperature.grad.abs()) > 0
    with pytest.raises(ValueError, match=r"temperature is 5.*within 0\.02 and 2"):
        ContrastConfig(temperature=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup": 1.0},
        {"weight_decay": -1.0},
        {"validate_every": -1},
        {"residual_rate": -1.0},
        {"averaging": 1.0},
    ],
)
def test_settings_no_training_can_use_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*, it must be"):
        ContrastConfig(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"sampled_codes": 0}, {"radius_step": 0.0}, {"smoothing": 1.0}, {"rank_width": 0.0}]
)
def test_settings_no_objective_can_use_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*, it must be"):
        ObjectiveConfig(**wrong)


def test_residuals_at_a_rate_of_zero_stay_zero(tmp_path: Path, data: ContrastData) -> None:
    run = Run.create(tmp_path / "run", "")
    config = dataclasses.replace(CONFIG, residual_rate=0.0, epochs=1)
    space = ContrastTrainer(config, data, run, 0).train()
    run.close()
    assert not bool(space.residual.any())


def test_far_ancestors_count_less_under_a_decay(data: ContrastData) -> None:
    space = build_space(CONFIG, data, 0)
    only = LossWeights(
        **{f.name: float(f.name == "ancestors") for f in dataclasses.fields(LossWeights)}
    )
    even = dataclasses.replace(CONFIG.objective, weights=only)
    decayed = dataclasses.replace(even, ancestor_decay=0.5)
    assert gradient(space, data, decayed).norm() < gradient(space, data, even).norm()


def test_queries_weigh_by_their_source_and_leave_with_a_weight_of_zero(data: ContrastData) -> None:
    without = data.weighted(SourceWeights(title=0.0, exclusion=2.0))
    assert {t.source for t in without.labelled} == {t.source for t in data.labelled} - {"title"}
    rows = [i for i, t in enumerate(without.labelled) if t.source == "exclusion"]
    assert without.query_weight[rows].tolist() == [2.0] * len(rows)
    kept = [i for i, t in enumerate(data.labelled) if t.source != "title"]
    assert torch.equal(without.query_inputs.vectors, data.query_inputs.vectors[kept])
    assert without.hides == tuple(data.hides[i] for i in kept)
    space = build_space(CONFIG, data, 0)
    doubled = data.weighted(SourceWeights(index=2.0))
    change = gradient(space, doubled, CONFIG.objective) - gradient(space, data, CONFIG.objective)
    assert change.norm() > 1e-6
    with pytest.raises(ValueError, match="weights of sources"):
        SourceWeights(index=-1.0)


def test_the_tree_sees_some_codes_without_their_residual_and_queries_see_none(
    data: ContrastData,
) -> None:
    space = build_space(CONFIG, data, 0)
    batch = data.batch(torch.arange(0, len(data.query_code), 3))
    with torch.no_grad():
        space.residual.normal_(std=0.3, generator=torch.Generator().manual_seed(2))

    def slope(weights: LossWeights, rate: float) -> Tensor:
        config = dataclasses.replace(CONFIG.objective, weights=weights, residual_dropout=rate)
        objective = Objective(config, data)
        space.zero_grad()
        channels = data.channels(space.reader)
        generator = torch.Generator().manual_seed(1)
        objective.total(objective(space.train(), channels, batch, generator)).backward()  # type: ignore[no-untyped-call]
        assert space.residual.grad is not None
        return space.residual.grad.clone()

    ours = CONFIG.objective.weights
    tree = dataclasses.replace(ours, query_code=0.0, ancestors=0.0, residual=0.0)
    untouched = slope(tree, 0.5).abs().sum(dim=1) == 0
    assert 0 < int(untouched.sum()) < len(untouched)
    assert not (slope(tree, 0.0).abs().sum(dim=1) == 0).any()
    names = [f.name for f in dataclasses.fields(LossWeights)]
    text = LossWeights(**{name: float(name == "query_code") for name in names})
    assert torch.equal(slope(text, 0.5), slope(text, 0.0))
