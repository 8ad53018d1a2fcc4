"""What the graph is worth: stage 4 beside its controls, on the points of a finished run.

    python benchmarks/refinement.py --database FILE_OR_URI --artifact RUN/artifact
        [--seeds 0 1 2] [--epochs 4] [--queries N] [--only WORD ...] [--set KEY=VALUE ...]

The database must be loaded with roles; figures are of its validation role, mean ± deviation over
the seeds. All learned systems train on the same points, queries (those that stand in no channel),
losses and steps, start at the identity, and are as large as stage 4 or larger:

no graph: stage 4 that hears nobody. Euclidean: the same convolution with means of tangent vectors
at the origin in place of Lorentz centroids. GraphSAGE, GAT: PyTorch Geometric's, one per relation,
on tangent vectors, added through a gate that starts at 0. Without entries: entries are no nodes.
Siblings for exclusions: stage 4 in a graph whose exclusions are edges between siblings.
Propagation: every code moves toward its neighbours in the tree, tangent vectors, ten rounds with a
restart; nothing is learned. Attached: a query hears its nearest entries. In stage 3 it moves to
the centroid of itself and them, their weights together w; in stage 4 it hears them through the
relation through which codes hear theirs, or through one of its own, and in training never an entry
that says its text. Elsewhere queries are isolated nodes.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from controls import (
    ATTACHED,
    Attached,
    Queries,
    attached,
    networks,
    propagated,
    trained,
    with_siblings,
)
from torch import Tensor

from naics_graph import settings
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.encode.channels import ChannelTexts
from naics_graph.evaluate.gates import Evidence, accept_refinement, paired_bootstrap
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.retrieval import reciprocal_ranks, retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.pipeline import TrainConfig
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.inputs import RefineInputs
from naics_graph.refine.layers import DEPTHS
from naics_graph.refine.network import RefineNetwork
from naics_graph.refine.own_edges import own_entries, own_exclusions
from naics_graph.store.contract import GraphStore
from naics_graph.store.open import open_store
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import Channel
from naics_graph.taxonomy.tree import Tree

COLUMNS = ("mrr", "top1", "pearson", "edge_map", "parent_at_1", "distortion")


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
    decisions: list[str] = []
    isolated: dict[tuple[str, int], np.ndarray] = {}
    for name, system in _systems(task, config).items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        rows, seconds = [], []
        for seed in arguments.seeds if _is_learned(name) else arguments.seeds[:1]:
            started = time.perf_counter()
            codes, queries = system(seed)
            seconds.append(time.perf_counter() - started)
            rows.append(_figures(task, codes, queries(task.asked)))
            after = _evidence(task, codes, queries(task.asked))
            if name in ("stage 3", "stage 4"):
                isolated[name, seed] = after.reciprocal_ranks
            if name == "stage 4":
                decision = accept_refinement(before, after)
                word = "accepted" if decision.accepted else "refused"
                decisions.append(f"seed {seed}: {word}: {decision.reason}")
            alone = isolated.get((name.partition(",")[0], seed))
            if ATTACHED in name and alone is not None:
                change = paired_bootstrap(after.reciprocal_ranks, alone)
                decisions.append(
                    f"seed {seed}: {name}: MRR {change[0]:+.4f} to isolated queries "
                    f"(95 % {change[1]:+.4f} to {change[2]:+.4f})"
                )
        print(_row(name, rows, seconds), flush=True)
    print("\n" + "\n".join(decisions))


def _is_learned(name: str) -> bool:
    return not name.startswith(("stage 3", "propagation"))


System = Callable[[int], tuple[Tensor, Queries]]


def _systems(task: Task, config: RefineConfig) -> dict[str, System]:
    """Every system by name: given a seed, the codes (n, d+1) and the map of queries."""
    shape, inputs = config.network, task.inputs
    dim, c = inputs.code_points.shape[1] - 1, inputs.curvature

    def learned(make: Callable[[], RefineNetwork], inputs: RefineInputs = inputs) -> System:
        def system(seed: int) -> tuple[Tensor, Queries]:
            result = trained(inputs, config, make, seed)
            return result.code_points, torch.no_grad()(result.network.refine_queries)

        return system

    systems: dict[str, System] = {"stage 3": lambda _: (inputs.code_points, _unmoved)}
    systems |= {name: learned(make) for name, make in networks(shape, dim, c).items()}
    siblings = dataclasses.replace(inputs, graph=with_siblings(inputs.graph, inputs.tree))
    systems["siblings for exclusions"] = learned(networks(shape, dim, c)["stage 4"], siblings)
    for share in (0.1, 0.3):
        codes = propagated(inputs.code_points, inputs.graph, share, c)
        systems[f"propagation {share}"] = lambda _, codes=codes: (codes, _unmoved)  # type: ignore[misc]
    for weight in (0.1, 0.3, 1.0):
        systems[f"stage 3, attached, w = {weight}"] = lambda _, w=weight: (  # type: ignore[misc]
            inputs.code_points,
            lambda queries: attached(queries, inputs.entry_points, w, c),
        )
    for name, own in (("", False), (", own relation", True)):
        systems[f"stage 4, attached{name}"] = learned(
            lambda own=own: Attached(shape, inputs, own=own)  # type: ignore[misc]
        )
    return systems


def _unmoved(queries: Tensor) -> Tensor:
    return queries


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

    def points(texts: list[str], channels: list[Channel] | None = None) -> Tensor:
        return torch.from_numpy(artifact.encode(texts, "contrast", channels=channels))

    entries = [text_of[key] for key in graph.entries]
    inputs = RefineInputs(
        graph=graph,
        code_points=torch.from_numpy(artifact.points("contrast")),
        entry_points=points(entries),
        query_points=points([t.text for t in labelled], [t.channel for t in labelled]),
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
