"""Stage 4's loop: queries against codes refined on sampled subgraphs that leave their edges out.

Several processes share a step: each refines its part of the codes on a subgraph around them, and
its part of the queries; the refined codes are gathered with gradient (`refine.objective`).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from naics_graph import memory
from naics_graph.contrast.optimisation import (
    Means,
    clip_gradient,
    epoch_seed,
    one_cycle,
    optimiser_tensors,
    require_finite,
    require_radius,
    restore_optimiser,
    set_rate,
    weighted,
)
from naics_graph.distributed import World
from naics_graph.geometry import lorentz
from naics_graph.refine.batches import subgraph_batches
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import INDUSTRY, require_current
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.network import RefineNetwork
from naics_graph.refine.objective import RefineObjective, fitted_radius_step
from naics_graph.refine.pyg import HeteroData
from naics_graph.runs import Checkpoint, Run, tensors_below
from naics_graph.store.contract import GraphStore, Progress, show_detail

STAGE = "refine"
_SHOWN = "graph refinement"

Validate = Callable[[Tensor, Callable[[Tensor], Tensor]], Mapping[str, float]]
"""Measures refined codes (n, d+1) and the map of queries after an epoch, for the log."""

Without = Callable[[Tensor, Tensor], Tensor]
"""Given rows of queries (b,) and positions of codes (k,): the points (k, d+1) these codes have
while the queries' texts are hidden from every channel."""


@dataclass(frozen=True, slots=True)
class RefineResult:
    """The trained network, (n, d+1) refined codes on the whole graph, what each epoch logged but
    for memory, and what was measured after the last.
    """

    network: RefineNetwork
    code_points: Tensor
    history: tuple[Mapping[str, float], ...]
    measured: Mapping[str, float]


def train_refinement(
    inputs: RefineInputs,
    config: RefineConfig,
    *,
    run: Run | None,
    seed: int = 0,
    store: GraphStore | None = None,
    without: Without | None = None,
    validate: Validate | None = None,
    progress: Progress | None = None,
    network: RefineNetwork | None = None,
    world: World | None = None,
) -> RefineResult:
    """Train to the last epoch, from the run's latest checkpoint of this stage if it has one.

    Args:
        inputs: points, graph and queries.
        config: hyper-parameters.
        run: where checkpoints and metrics go; read and written by the first process alone, the
            others may give None.
        seed: of initial weights, order of the queries, neighbours, dropout and anchors.
        store: what the graph was exported from, read by the first process alone: every epoch
            checks that it still holds that graph, and the `database` sampler draws there.
        without: where queries stand in channels, the codes as they are without them.
        validate: measured every `validate_every` epochs and after the last, in the first process.
        progress: called after every step.
        network: to train in place of a new one of `config.network`: a control that maps codes and
            queries by other means.
        world: the processes that share the steps, each of which calls this.

    Returns:
        The result, the same in every process, on the CPU.

    Raises:
        DivergedError: a loss part or the gradient is not finite, or the mean radius too large.
        DatabaseError: the vintage was loaded anew since the export.
        PeerLostError: another process ended.
    """
    trainer = _Trainer(
        inputs, config, run, seed, store, without, validate, network, world or World()
    )
    return trainer.train(progress)


class _Trainer:
    """State of one training in one of its processes; arguments as for `train_refinement`."""

    def __init__(
        self,
        inputs: RefineInputs,
        config: RefineConfig,
        run: Run | None,
        seed: int,
        store: GraphStore | None,
        without: Without | None,
        validate: Validate | None,
        network: RefineNetwork | None,
        world: World,
    ) -> None:
        self.inputs, self.config, self.seed, self.world = inputs, config, seed, world
        self.run = run if world.is_main else None
        self.store = store if world.is_main else None
        self.without, self.validate = without, validate
        dim = inputs.code_points.shape[1] - 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = network or RefineNetwork(config.network, dim, inputs.curvature)
        self.network = made.to(world.device)
        radius = lorentz.radius(inputs.code_points, inputs.curvature)
        step = fitted_radius_step(radius, torch.from_numpy(inputs.tree.depth))
        self.objective = RefineObjective(
            config.objective, inputs.tree, inputs.curvature, step, world
        )
        self.optimiser = torch.optim.Adam(_groups(self.network, self.objective, config))
        self.steps = -(-len(inputs.query_code) // config.batch_size)
        self.history: list[dict[str, float]] = []
        self.measured: dict[str, float] = {}

    def train(self, progress: Progress | None) -> RefineResult:
        for epoch in range(self._restore(), self.config.epochs):
            self._epoch(epoch, progress)
        network = self.network.cpu().eval()
        codes = self.world.on_main(lambda: self._refined(network))
        return RefineResult(network, codes, tuple(self.history), self.measured)

    def _epoch(self, epoch: int, progress: Progress | None) -> None:
        if self.store is not None:
            require_current(self.inputs.graph, self.store)
        seed = epoch_seed(self.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        self.network.train()
        total = self.steps * self.config.epochs
        means = Means()
        batches = subgraph_batches(
            self.inputs, self.config, seed, store=self.store, world=self.world
        )
        for i, batch in enumerate(batches):
            step = epoch * self.steps + i
            set_rate(self.optimiser, one_cycle(step / total, self.config.warmup))
            means.add(self._step(batch, generator, step))
            if progress is not None:
                progress(_SHOWN, step + 1, total)
                show_detail(progress, _SHOWN, means.values)
        values = means.values | {
            "temperature": float(self.objective.temperature.detach()),
            "mean_radius": float(self.objective.mean_radius),
        }
        values |= self.network.gates() | self._measure(epoch + 1)
        self.history.append(values)
        if self.run is not None:
            logged = values | {"resident_mib": memory.resident_mib()}
            self.run.log(STAGE, epoch + 1, (epoch + 1) * self.steps, logged)
            self._save(self.run, epoch + 1)

    def _step(self, batch: HeteroData, generator: torch.Generator, step: int) -> dict[str, float]:
        """One step of the optimiser; the loss and its parts, over all processes."""
        rows = batch[INDUSTRY].input_id
        codes = self._codes(batch, rows)
        queries = self.network.refine_queries(self._blended(rows, generator))
        share = self.objective(codes, queries, self.inputs.query_code[rows], generator)
        summed = self.world.sum(torch.stack(list(share.values())))
        parts: dict[str, Tensor] = dict(zip(share, summed, strict=True))
        require_finite(STAGE, step, parts)
        require_radius(
            STAGE,
            step,
            float(self.objective.mean_radius),
            self.config.radius_limit,
            weighted(parts, self.config.objective.weights),
        )
        self.optimiser.zero_grad(set_to_none=True)
        # Every process takes part in the gather's backward pass, also one whose share is nothing.
        loss = self.objective.total(share) + 0.0 * codes.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        self.world.reduce_gradients([*self.network.parameters(), *self.objective.parameters()])
        clip_gradient(STAGE, step, self.network, self.config.gradient_norm)
        self.optimiser.step()
        self.network.project()
        self._log_memory(step)
        return {
            name: float(v) for name, v in {"loss": self.objective.total(parts), **parts}.items()
        }

    def _codes(self, batch: HeteroData, rows: Tensor) -> Tensor:
        """(n, d+1) all codes, this process's refined on its subgraph and gathered."""
        codes = batch[INDUSTRY]
        if self.without is not None:
            codes.x = self.without(rows, codes.n_id)
        batch = batch.to(self.world.device)
        moved = self.network(batch.x_dict, batch.edge_index_dict, batch[INDUSTRY].depth)
        own = self.world.shard(len(self.inputs.code_points))
        # The subgraph's first nodes are those it is drawn around.
        return self.world.gather_rows(moved[: own.stop - own.start])

    def _blended(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """(b', d+1) this process's queries of a batch, each with a share of another of the b."""
        own, curvature = self.world.shard(len(rows)), self.inputs.curvature
        tangent = lorentz.logmap0(self.inputs.query_points[rows], curvature)
        other = tangent[torch.randperm(len(rows), generator=generator)[own]]
        mixed = torch.lerp(tangent[own], other, self.config.blend)
        return lorentz.expmap0(mixed, curvature).to(self.world.device)

    def _log_memory(self, step: int) -> None:
        """On GPUs: memory, and how many of a query's candidates came from other processes."""
        used = memory.gpu_step(self.world, len(self.inputs.code_points))
        if self.run is not None and used:
            self.run.log_step(STAGE, step // self.steps + 1, step + 1, used)

    def _measure(self, epoch: int) -> dict[str, float]:
        every = self.config.validate_every
        if epoch != self.config.epochs and not (every and epoch % every == 0):
            return {}
        self.measured = self.world.on_main(self._validated)
        return self.measured

    @torch.no_grad()
    def _validated(self) -> dict[str, float]:
        if self.validate is None:
            return {}
        network = copy.deepcopy(self.network).cpu().eval()
        return dict(self.validate(self._refined(network), network.refine_queries))

    @torch.no_grad()
    def _refined(self, network: RefineNetwork) -> Tensor:
        inputs = self.inputs
        return network.refine_codes(inputs.graph, inputs.code_points, inputs.entry_points)

    def _save(self, run: Run, epoch: int) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"adam.{k}": v for k, v in optimiser_tensors(self.optimiser).items()}
        state: dict[str, Any] = {
            "history": self.history,
            "measured": self.measured,
            "config": dataclasses.asdict(self.config),
        }
        run.save_checkpoint(STAGE, epoch, tensors, state)

    def _restore(self) -> int:
        found = self.run.latest_checkpoint(STAGE) if self.run is not None else None
        checkpoint: Checkpoint | None = self.world.broadcast(found)
        if checkpoint is None:
            return 0
        self.network.load_state_dict(tensors_below("network.", checkpoint.tensors))
        self.objective.load_state_dict(tensors_below("objective.", checkpoint.tensors))
        restore_optimiser(self.optimiser, tensors_below("adam.", checkpoint.tensors))
        self.history = list(checkpoint.state["history"])
        self.measured = dict(checkpoint.state["measured"])
        return checkpoint.epoch


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
