"""What the graph is worth: stage 4 beside its controls, on the points of a finished run.

    python benchmarks/refinement.py --database FILE_OR_URI --artifact RUN/artifact
        [--seeds 0 1 2] [--epochs 4] [--queries N] [--only WORD ...] [--set KEY=VALUE ...]

The database must be loaded with roles; figures are of its validation role, mean ± deviation over
the seeds. All learned systems train on the same points, queries (those that stand in no channel),
losses and steps, start at the identity, and are as large as stage 4 or larger:

no graph: stage 4 that hears nobody. Euclidean: the same convolution with means of tangent vectors
at the origin in place of Lorentz centroids. GraphSAGE, GAT: PyTorch Geometric's, one per relation,
on tangent vectors, added through a gate that starts at 0. Without entries: entries are no nodes.
Propagation: every code moves toward its neighbours in the tree, tangent vectors, ten rounds with a
restart; nothing is learned. Attached: a query is moved to the centroid of itself and its nearest
entries, their weights together w; learned systems see queries as isolated nodes all the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naics_graph import settings
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.encode.channels import ChannelTexts
from naics_graph.evaluate.gates import Evidence, accept_refinement
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.retrieval import reciprocal_ranks, retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.pipeline import TrainConfig
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import ENTRY, INDUSTRY
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.layers import DEPTHS, SELF
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.refine.own_edges import own_entries, own_exclusions
from naics_graph.refine.trainer import train_refinement
from naics_graph.runs import Run
from naics_graph.store.contract import GraphStore, Relation
from naics_graph.store.open import open_store
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.tree import Tree

NEAREST = 5
COLUMNS = ("mrr", "top1", "pearson", "edge_map", "parent_at_1", "distortion")
Codes = Tensor
Queries = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """What every system starts from, and the (v, d+1) validation queries with their leaves."""

    inputs: RefineInputs
    asked: Tensor
    truth: np.ndarray
    leaves: np.ndarray


def main() -> None:
    """Print a Markdown table, a row per system as it is ready, and the gate's decisions."""
    arguments = _arguments()
    torch.set_num_threads(1)
    config = load_config(TrainConfig, None, arguments.set).refine
    config = dataclasses.replace(config, epochs=arguments.epochs, validate_every=0)
    with open_store(settings.database(arguments.database), read_only=True) as store:
        artifact = Artifact.load(arguments.artifact, settings.vectors_dir())
        task = _task(store, artifact, arguments.queries)
    print(
        f"{len(task.inputs.query_code):,} training queries, {len(task.truth):,} of validation, "
        f"{arguments.epochs} epochs, seeds {arguments.seeds}\n"
    )
    print("| system | MRR | top-1 | Pearson | edge MAP | parent@1 | distortion | s |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    before = _evidence(task, task.inputs.code_points, task.asked)
    decisions = []
    for name, system in _systems(task, config).items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        rows, seconds = [], []
        for seed in arguments.seeds[: 1 if name.startswith(("stage 3", "propagation")) else None]:
            started = time.perf_counter()
            codes, queries = system(seed)
            seconds.append(time.perf_counter() - started)
            rows.append(_figures(task, codes, queries(task.asked)))
            if name == "stage 4":
                after = _evidence(task, codes, queries(task.asked))
                decisions.append(accept_refinement(before, after))
        print(_row(name, rows, seconds), flush=True)
    for seed, decision in zip(arguments.seeds, decisions, strict=False):
        print(f"\nseed {seed}: {'accepted' if decision.accepted else 'refused'}: {decision.reason}")


System = Callable[[int], tuple[Codes, Queries]]


def _systems(task: Task, config: RefineConfig) -> dict[str, System]:
    shape = config.network
    without = tuple(r for r in shape.relations if "classified_as" not in r)
    dim, c = task.inputs.code_points.shape[1] - 1, task.inputs.curvature

    def hgcn(network: HGCNConfig) -> System:
        return _trained(task, config, lambda: RefineNetwork(network, dim, c))

    def control(kind: type[_Tangent], relations: tuple[str, ...]) -> System:
        changed = dataclasses.replace(shape, relations=relations)
        return _trained(task, config, lambda: kind(changed, dim, c))

    stage4 = hgcn(shape)
    systems: dict[str, System] = {
        "stage 3": lambda _: (task.inputs.code_points, lambda queries: queries),
        "stage 4": stage4,
        "stage 4 without entries": hgcn(dataclasses.replace(shape, relations=without)),
        "no graph": hgcn(dataclasses.replace(shape, relations=())),
        "Euclidean": control(_Euclidean, shape.relations),
    }
    for name, kind in (("GraphSAGE", _Sage), ("GAT", _Gat)):
        systems[name] = control(kind, shape.relations)
        systems[f"{name} without entries"] = control(kind, without)
    for share in (0.1, 0.3):
        systems[f"propagation {share}"] = lambda _, s=share: _propagated(task, s)  # type: ignore[misc]
    for weight in (0.1, 0.3, 1.0):
        systems[f"stage 3, attached, w = {weight}"] = lambda _, w=weight: (  # type: ignore[misc]
            task.inputs.code_points,
            lambda queries: _attached(task, queries, w),
        )
    return systems


def _trained(task: Task, config: RefineConfig, make: Callable[[], RefineNetwork]) -> System:
    def system(seed: int) -> tuple[Codes, Queries]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make()
        with tempfile.TemporaryDirectory() as folder:
            run = Run.create(Path(folder) / "run", "")
            try:
                result = train_refinement(task.inputs, config, run=run, seed=seed, network=network)
            finally:
                run.close()
        return result.code_points, torch.no_grad()(result.network.refine_queries)

    return system


def _propagated(task: Task, share: float) -> tuple[Codes, Queries]:
    """Label propagation with restart (Zhou et al. 2004) over the tree, degree-normalised."""
    c, tree = task.inputs.curvature, task.inputs.tree
    child = np.flatnonzero(tree.parent >= 0)
    adjacency = torch.zeros(len(tree.codes), len(tree.codes), dtype=torch.float64)
    adjacency[child, tree.parent[child]] = 1.0
    adjacency = adjacency + adjacency.T
    adjacency /= adjacency.sum(dim=1, keepdim=True)
    start = lorentz.logmap0(task.inputs.code_points, c)
    moved = start
    for _ in range(10):
        moved = (1.0 - share) * start + share * adjacency @ moved
    return lorentz.expmap0(moved, c), lambda queries: queries


def _attached(task: Task, queries: Tensor, weight: float) -> Tensor:
    """Queries moved toward their nearest training entries, nearer ones weighing more."""
    c, entries = task.inputs.curvature, task.inputs.entry_points
    near = lorentz.pairwise_distance(queries, entries, c).topk(NEAREST, largest=False)
    weights = weight * torch.softmax(-near.values, dim=1)
    points = torch.cat([queries[:, None], entries[near.indices]], dim=1)
    return lorentz.centroid(points, torch.cat([torch.ones_like(weights[:, :1]), weights], 1), c)


class _Tangent(RefineNetwork):
    """A control on tangent vectors at the origin, behind the interface of stage 4."""

    def __init__(self, config: HGCNConfig, dim: int, curvature: float) -> None:
        super().__init__(config, dim, curvature)
        self.curvature, self.relations = curvature, config.relations

    def forward(
        self, points: Mapping[str, Tensor], edges: Mapping[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """Codes (n, d+1) after one layer; arguments as for `RefineNetwork`."""
        tangent = {t: lorentz.logmap0(p, self.curvature) for t, p in points.items()}
        heard = {r: e for r, e in edges.items() if r[2] == INDUSTRY and r[1] in self.relations}
        return lorentz.expmap0(self.moved(tangent, heard, depth), self.curvature)

    def refine_queries(self, points: Tensor) -> Tensor:
        """Texts (q, d+1) as six-digit codes that hear nobody."""
        empty = {INDUSTRY: points, ENTRY: points[:0]}
        nobody = torch.empty(2, 0, dtype=torch.int64)
        edges = {
            (ENTRY if name == "classified_as" else INDUSTRY, name, INDUSTRY): nobody
            for name in self.relations
        }
        moved: Tensor = self(empty, edges, torch.full((len(points),), DEPTHS))
        return moved

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        """(n, d) tangent vectors of the codes."""
        raise NotImplementedError

    def project(self) -> None:
        """Nothing to keep within bounds."""

    def gates(self) -> dict[str, float]:
        """Nothing to log."""
        return {}


class _Euclidean(_Tangent):
    """The convolution of stage 4 with arithmetic means: the same weights, biases and gates."""

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        layer: Any = self.convolutions[0]
        own, row = tangent[INDUSTRY], depth - 1
        gate = layer.gates(SELF)[row][:, None]
        total, weights = own + gate * self._message(SELF, own), 1.0 + gate
        for (source, name, _), edge in edges.items():
            degree = torch.bincount(edge[1], minlength=len(own)).double()[:, None]
            gate = layer.gates(name)[row][:, None] * (degree > 0)
            heard = torch.zeros_like(own).index_add(
                0, edge[1], self._message(name, tangent[source])[edge[0]]
            )
            total, weights = total + gate * heard / degree.clamp(min=1.0), weights + gate
        mean: Tensor = total / weights
        return mean

    def project(self) -> None:
        """Keep gates at or above zero."""
        RefineNetwork.project(self)

    def _message(self, name: str, tangent: Tensor) -> Tensor:
        layer: Any = self.convolutions[0]
        i = layer._number[name]
        moved: Tensor = tangent @ layer.weight[i].T + layer.bias[i]
        return moved


class _Convolved(_Tangent):
    """A layer of PyTorch Geometric, one per relation, added through a gate that starts at 0."""

    def __init__(self, config: HGCNConfig, dim: int, curvature: float) -> None:
        from torch_geometric.nn import HeteroConv

        super().__init__(config, dim, curvature)
        del self.convolutions
        sources = {"classified_as": ENTRY}
        self.layer = HeteroConv(
            {
                (sources.get(name, INDUSTRY), name, INDUSTRY): self.convolution(dim)
                for name in config.relations
            },
            aggr="mean",
        ).double()
        self.gate = nn.Parameter(torch.zeros(DEPTHS, dtype=torch.float64))

    def convolution(self, dim: int) -> nn.Module:
        """The layer of one relation."""
        raise NotImplementedError

    def moved(
        self, tangent: dict[str, Tensor], edges: dict[Relation, Tensor], depth: Tensor
    ) -> Tensor:
        moved: Tensor = self.layer(tangent, edges)[INDUSTRY]
        return tangent[INDUSTRY] + self.gate[depth - 1][:, None] * moved


class _Sage(_Convolved):
    """GraphSAGE with means (Hamilton et al. 2017)."""

    def convolution(self, dim: int) -> nn.Module:
        from torch_geometric.nn import SAGEConv

        layer: nn.Module = SAGEConv((dim, dim), dim)
        return layer


class _Gat(_Convolved):
    """Graph attention (Velickovic et al. 2018), four heads."""

    def convolution(self, dim: int) -> nn.Module:
        from torch_geometric.nn import GATConv

        layer: nn.Module = GATConv(
            (dim, dim), dim // 4, heads=4, add_self_loops=False, residual=True
        )
        return layer


def _task(store: GraphStore, artifact: Artifact, most: int) -> Task:
    taxonomy, graph = store.taxonomy(artifact.vintage), store.export_graph(artifact.vintage)
    evaluated = [entry for entry in taxonomy.entries if entry.evaluated]
    if not evaluated:
        raise SystemExit("no entry has the validation role: load with --roles")
    tree, channels = Tree.of(taxonomy), ChannelTexts.of(taxonomy)
    labelled = [text for text in labelled_texts(taxonomy) if not channels.hides(text)]
    if most and most < len(labelled):
        chosen = np.random.default_rng(0).choice(len(labelled), most, replace=False)
        labelled = [labelled[i] for i in sorted(chosen)]
    text_of = {entry.key: entry.text for entry in taxonomy.entries}

    def points(texts: list[str]) -> Tensor:
        return torch.from_numpy(artifact.encode(texts, "contrast"))

    entries = [text_of[key] for key in graph.entries]
    inputs = RefineInputs(
        graph=graph,
        code_points=torch.from_numpy(artifact.points("contrast")),
        entry_points=points(entries),
        query_points=points([text.text for text in labelled]),
        query_code=torch.tensor([tree.position[text.code] for text in labelled]),
        query_entry=own_entries(labelled, entries),
        query_exclusion=own_exclusions(labelled, tree.position),
        tree=tree,
        curvature=artifact.curvature,
    )
    leaves = np.flatnonzero(tree.depth == DEPTHS)
    leaf = {int(position): i for i, position in enumerate(leaves)}
    truth = np.array([leaf[tree.position[entry.code]] for entry in evaluated])
    return Task(inputs, points([entry.text for entry in evaluated]), truth, leaves)


def _scores(task: Task, codes: Tensor, queries: Tensor) -> np.ndarray:
    distance = lorentz.pairwise_distance(queries, codes[task.leaves], task.inputs.curvature)
    scores: np.ndarray = -distance.numpy()
    return scores


def _evidence(task: Task, codes: Tensor, queries: Tensor) -> Evidence:
    distance = lorentz.pairwise_distance(codes, codes, task.inputs.curvature).numpy()
    ranks = reciprocal_ranks(_scores(task, codes, queries), task.truth)
    return Evidence(ranks, tree_metrics(distance, task.inputs.tree))


def _figures(task: Task, codes: Tensor, queries: Tensor) -> dict[str, float]:
    lca = task.inputs.tree.lca_depth[np.ix_(task.leaves, task.leaves)]
    text = retrieval_metrics(_scores(task, codes, queries), task.truth, lca)
    tree = _evidence(task, codes, queries).tree
    return dataclasses.asdict(text) | dataclasses.asdict(tree)


def _row(name: str, rows: list[dict[str, float]], seconds: list[float]) -> str:
    cells = []
    for column in COLUMNS:
        values = np.array([row[column] for row in rows])
        spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
        cells.append(f"{values.mean():.4f}{spread}")
    return f"| {name} | " + " | ".join(cells) + f" | {np.mean(seconds):.0f} |"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--database", help="file or URI; default as for naics-graph")
    parser.add_argument("--artifact", type=Path, required=True, help="of a finished run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--queries", type=int, default=0, help="at most so many, drawn; 0: all")
    parser.add_argument("--only", nargs="+", default=[], help="systems whose names hold a word")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
