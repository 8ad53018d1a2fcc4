"""Stage 4's loop: queries against codes refined on sampled subgraphs that leave their edges out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from naics_graph.config import require_above_zero, require_at_least_one
from naics_graph.contrast.optimisation import (
    epoch_seed,
    one_cycle,
    optimiser_tensors,
    require_finite,
    restore_optimiser,
    set_rate,
)
from naics_graph.geometry import lorentz
from naics_graph.refine.database import DatabaseGraph, DatabaseSampler
from naics_graph.refine.graph import (
    ENTRY,
    INDUSTRY,
    ExportedGraph,
    PointFeatures,
    require_current,
)
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.refine.objective import (
    RefineObjective,
    RefineObjectiveConfig,
    fitted_radius_step,
)
from naics_graph.refine.pyg import HeteroData, NodeLoader
from naics_graph.refine.sampler import LeaveOneOut, SubgraphSampler
from naics_graph.runs import Run, tensors_below
from naics_graph.store.contract import GraphExport, GraphStore, Progress
from naics_graph.taxonomy.tree import Tree

STAGE = "refine"

Validate = Callable[[Tensor, Callable[[Tensor], Tensor]], Mapping[str, float]]
"""Measures refined codes (n, d+1) and the map of queries after an epoch, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineConfig:
    """Optimisation of stage 4.

    fan_out: neighbours per relation and hop, one number per layer, -1 for all. sampler: where
    neighbours are drawn, the same ones either way: `cached` in memory, `database` in Cypher, many
    times slower and for graphs whose edges do not fit in memory. learning_rate: peak of one cycle,
    Adam; gate_rate: the same for gates, sharpness and temperature. blend: share of
    another query mixed into every query, in tangent space: stage 3 has learned these texts by heart
    and finds nearly all of them, blended ones are as hard to find as new texts are.
    validate_every: epochs between measurements, 0 for the last only.
    """

    network: HGCNConfig = field(default_factory=HGCNConfig)
    objective: RefineObjectiveConfig = field(default_factory=RefineObjectiveConfig)
    fan_out: tuple[int, ...] = (10,)
    sampler: Literal["cached", "database"] = "cached"
    epochs: int = 4
    batch_size: int = 512
    learning_rate: float = 5e-4
    gate_rate: float = 2e-2
    blend: float = 0.4
    warmup: float = 0.1
    gradient_norm: float = 5.0
    validate_every: int = 2

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        require_above_zero(self, "learning_rate", "gate_rate", "gradient_norm")
        require_at_least_one(self, "epochs", "batch_size")
        if not 0.0 <= self.blend < 1.0:
            raise ValueError(f"blend is {self.blend}, it must be in [0, 1)")
        if len(self.fan_out) != self.network.layers or 0 in self.fan_out:
            raise ValueError(
                f"fan_out is {list(self.fan_out)}, it must name neighbours, or -1 for all, "
                f"for each of {self.network.layers} layers"
            )


@dataclass(frozen=True, slots=True)
class RefineInputs:
    """What stage 4 starts from: points of stage 3, all (..., d+1) float64, and the graph.

    graph: the export; `graph.codes` are `tree.codes` in the same order. code_points: (n, d+1).
    entry_points: (m, d+1) images of `graph.entries` as queries. query_points: (q, d+1) training
    queries. query_code: (q,) position of the label, of any level. query_entry: (q, k) positions of
    the entries that say the query's text, or -1. query_exclusion: (q, 2) code positions of the
    exclusion its clause was taken from, or -1. curvature: c > 0. without: given query rows (b,),
    the points of all codes (n, d+1) with the texts of these queries hidden from every channel; None
    where no query stands in a channel. store: the database the graph was exported from; the
    `database` sampler needs it,
    and every epoch checks that it still holds that graph.
    """

    graph: GraphExport
    code_points: Tensor
    entry_points: Tensor
    query_points: Tensor
    query_code: Tensor
    query_entry: Tensor
    query_exclusion: Tensor
    tree: Tree
    curvature: float
    without: Callable[[Tensor], Tensor] | None = None
    store: GraphStore | None = None

    def __post_init__(self) -> None:
        """Refuse rows that do not belong together."""
        if self.graph.codes != self.tree.codes or len(self.code_points) != len(self.tree.codes):
            raise ValueError("codes of the graph, of the tree and of the points differ")
        if len(self.entry_points) != len(self.graph.entries):
            raise ValueError("entries of the graph and of the points differ")
        rows = {len(self.query_points), len(self.query_code), len(self.query_entry)}
        if rows != {len(self.query_exclusion)}:
            raise ValueError("points, labels and own edges of the queries differ in number")


@dataclass(frozen=True, slots=True)
class RefineResult:
    """The trained network, (n, d+1) refined codes on the whole graph, what each epoch logged."""

    network: RefineNetwork
    code_points: Tensor
    history: tuple[Mapping[str, float], ...]


def train_refinement(
    inputs: RefineInputs,
    config: RefineConfig,
    *,
    run: Run,
    seed: int = 0,
    validate: Validate | None = None,
    progress: Progress | None = None,
    network: RefineNetwork | None = None,
) -> RefineResult:
    """Train to the last epoch, from the run's latest checkpoint of this stage if it has one.

    Args:
        inputs: points, graph and queries.
        config: hyper-parameters.
        run: where checkpoints and metrics go.
        seed: of initial weights, order of the queries, neighbours, dropout and anchors.
        validate: measured every `validate_every` epochs and after the last.
        progress: called after every step.
        network: to train in place of a new one of `config.network`: a control that maps codes and
            queries by other means.

    Raises:
        DivergedError: a loss part or the gradient is not finite.
        DatabaseError: the vintage was loaded anew since the export.
    """
    return _Trainer(inputs, config, run, seed, validate, network).train(progress)


def subgraph_batches(inputs: RefineInputs, config: RefineConfig, seed: int) -> NodeLoader:
    """Batches of queries in an order drawn from `seed`, as subgraphs around all codes.

    `batch["industry"].input_id` are the rows of its queries, `n_id` the codes and entries in it; a
    batch lacks the entries and exclusions its queries came from.
    """
    graph, sampler = _backend(inputs, config)
    features = PointFeatures({INDUSTRY: inputs.code_points, ENTRY: inputs.entry_points})
    depth = torch.from_numpy(inputs.tree.depth)
    features.put_tensor(depth, group_name=INDUSTRY, attr_name="depth", index=None)
    return NodeLoader(
        (features, graph),
        sampler(
            graph,
            config.fan_out,
            seed=seed,
            around=torch.arange(len(inputs.code_points)),
            leave_out=LeaveOneOut(inputs.query_entry, inputs.query_exclusion),
            dropout=config.network.dropout,
        ),
        input_nodes=(INDUSTRY, inputs.query_code),
        input_id=torch.arange(len(inputs.query_code)),
        batch_size=config.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )


def _backend(inputs: RefineInputs, config: RefineConfig) -> tuple[Any, type[Any]]:
    """The graph PyG reads and the class of its sampler."""
    if config.sampler == "cached":
        return ExportedGraph(inputs.graph), SubgraphSampler
    if inputs.store is None:
        raise ValueError("refine.sampler is database: the inputs must name the store")
    return DatabaseGraph(inputs.store, inputs.graph), DatabaseSampler


class _Trainer:
    """State of one training."""

    def __init__(
        self,
        inputs: RefineInputs,
        config: RefineConfig,
        run: Run,
        seed: int,
        validate: Validate | None,
        network: RefineNetwork | None,
    ) -> None:
        self.inputs, self.config, self.run, self.seed = inputs, config, run, seed
        self.validate = validate
        dim = inputs.code_points.shape[1] - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = network or RefineNetwork(config.network, dim, inputs.curvature)
        radius = lorentz.radius(inputs.code_points, inputs.curvature)
        step = fitted_radius_step(radius, torch.from_numpy(inputs.tree.depth))
        self.objective = RefineObjective(config.objective, inputs.tree, inputs.curvature, step)
        self.optimiser = torch.optim.Adam(_groups(self.network, self.objective, config))
        self.steps = -(-len(inputs.query_code) // config.batch_size)
        self.history: list[dict[str, float]] = []

    def train(self, progress: Progress | None) -> RefineResult:
        first = self._restore()
        # Dropout draws from the global generator: seed it by epoch here, and leave the caller's be.
        with torch.random.fork_rng(devices=[]):
            for epoch in range(first, self.config.epochs):
                self._epoch(epoch, progress)
        return RefineResult(self.network.eval(), self._refined(), tuple(self.history))

    def _epoch(self, epoch: int, progress: Progress | None) -> None:
        if self.inputs.store is not None:
            require_current(self.inputs.graph, self.inputs.store)
        torch.manual_seed(self._seed(epoch))
        generator = torch.Generator().manual_seed(self._seed(epoch))
        self.network.train()
        total = self.steps * self.config.epochs
        sums: dict[str, float] = {}
        for i, batch in enumerate(subgraph_batches(self.inputs, self.config, self._seed(epoch))):
            step = epoch * self.steps + i
            set_rate(self.optimiser, one_cycle(step / total, self.config.warmup))
            for name, part in self._step(batch, generator, step).items():
                sums[name] = sums.get(name, 0.0) + float(part.detach())
            if progress is not None:
                progress("graph refinement", step + 1, total)
        values = {name: value / self.steps for name, value in sums.items()}
        values |= {"temperature": float(self.objective.temperature.detach())}
        values |= self.network.gates() | self._measure(epoch + 1)
        self.history.append(values)
        self.run.log(STAGE, epoch + 1, (epoch + 1) * self.steps, values)
        self._save(epoch + 1)

    def _step(self, batch: HeteroData, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        inputs = self.inputs
        codes = batch[INDUSTRY]
        order, rows = torch.argsort(codes.n_id), codes.input_id
        if inputs.without is not None:
            codes.x = inputs.without(rows)[codes.n_id]
        moved = self.network(batch.x_dict, batch.edge_index_dict, codes.depth)
        queries = self.network.refine_queries(self._blended(rows, generator))
        parts: dict[str, Tensor] = self.objective(
            moved[order], queries, inputs.query_code[rows], generator
        )
        loss = self.objective.total(parts)
        require_finite(STAGE, step, parts)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_norm)
        require_finite(STAGE, step, {"gradient": norm})
        self.optimiser.step()
        self.network.project()
        return {"loss": loss, **parts}

    def _blended(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """(b, d+1) queries, each with a share of another of the batch."""
        tangent = lorentz.logmap0(self.inputs.query_points[rows], self.inputs.curvature)
        other = tangent[torch.randperm(len(rows), generator=generator)]
        return lorentz.expmap0(torch.lerp(tangent, other, self.config.blend), self.inputs.curvature)

    def _measure(self, epoch: int) -> dict[str, float]:
        every = self.config.validate_every
        due = epoch == self.config.epochs or (every and epoch % every == 0)
        if self.validate is None or not due:
            return {}
        self.network.eval()
        with torch.no_grad():
            return dict(self.validate(self._refined(), self.network.refine_queries))

    @torch.no_grad()
    def _refined(self) -> Tensor:
        inputs = self.inputs
        return self.network.refine_codes(inputs.graph, inputs.code_points, inputs.entry_points)

    def _save(self, epoch: int) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"adam.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        state: dict[str, Any] = {
            "history": self.history,
            "config": dataclasses.asdict(self.config),
        }
        self.run.save_checkpoint(STAGE, epoch, tensors, state)

    def _restore(self) -> int:
        checkpoint = self.run.latest_checkpoint(STAGE)
        if checkpoint is None:
            return 0
        self.network.load_state_dict(tensors_below("network.", checkpoint.tensors))
        self.objective.load_state_dict(tensors_below("objective.", checkpoint.tensors))
        restore_optimiser(self.optimiser, tensors_below("adam.", checkpoint.tensors))
        self.history = list(checkpoint.state["history"])
        return checkpoint.epoch

    def _seed(self, epoch: int) -> int:
        return epoch_seed(self.seed, epoch)


def _groups(
    network: RefineNetwork, objective: RefineObjective, config: RefineConfig
) -> list[dict[str, Any]]:
    named = dict(network.named_parameters())
    scalars = [p for name, p in named.items() if name.endswith(("gate", "sharpness"))]
    maps = [p for name, p in named.items() if not name.endswith(("gate", "sharpness"))]
    return [
        {"params": maps, "lr": config.learning_rate},
        {"params": [*scalars, *objective.parameters()], "lr": config.gate_rate},
    ]
