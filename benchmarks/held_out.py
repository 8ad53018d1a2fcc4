"""Codes held out of training, with the graph around them: parent@1 after stages 3 and 4.

    python benchmarks/held_out.py --database FILE_OR_URI [--seeds 0 1 2] [--only WORD ...]
        [--set contrast.epochs=4] [--set refine.objective.margin=1 ...]

Stages 3 and 4 train without a tenth of the six-digit codes, their texts and edges; then all codes
stand in the whole graph. Each cell is the share of the held-out codes whose nearest code one level
up is their parent, of all of them / of those with siblings. A code may hear, and be heard by:

nothing: its texts alone place it. Entries: those under it and its exclusions. The tree: its parent
as well, so that half of the answer is given.

Of stage 4 the gate's decision is printed, with entries and exclusions heard by these codes.
Controls train beside it (`benchmarks/refinement.py`). Unlearned: propagation over the tree,
and codes moved toward the mean of their entries.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from controls import networks, propagated, toward_entries, trained
from stage3 import Bench, machine, spread
from torch import Tensor, no_grad

from naics_graph import settings
from naics_graph.config import load_config
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.reader import TextInputs
from naics_graph.evaluate.gates import accept_refinement
from naics_graph.evaluate.held_out import held_out_codes, without_codes
from naics_graph.evaluate.neighbourhood import GIVEN, Neighbourhood
from naics_graph.huge_pages import restart_with_huge_pages
from naics_graph.pipeline import TrainConfig
from naics_graph.refine.graph import of_codes
from naics_graph.refine.inputs import query_points, refine_inputs
from naics_graph.refine.network import RefineNetwork
from naics_graph.stage_images import StageImages
from naics_graph.store.contract import GraphExport
from naics_graph.store.open import open_store

System = Callable[[GraphExport], Tensor]


def main(arguments_given: Sequence[str] | None = None) -> int:
    """Train for every seed and print the table."""
    options = _arguments(arguments_given)
    config = load_config(TrainConfig, None, options.set)
    with open_store(settings.database(options.database), read_only=True) as store:
        bench = Bench(store.taxonomy(options.vintage))
        graph = store.export_graph(bench.taxonomy.vintage)
    codes = held_out_codes(bench.taxonomy)
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for seed in options.seeds:
        around, systems = _trained(bench, config, codes, graph, seed, options.only)
        for name, system in systems.items():
            points = [system(around.given(what)) for what in GIVEN]
            figures = [around.metrics(placed) for placed in points]
            row = [(one.parent_at_1, one.parent_at_1_with_siblings) for one in figures]
            found.setdefault(name, []).append(row)
    print("| system | nothing | entries and exclusions | the tree as well |\n|---|---|---|---|")
    for name, rows in found.items():
        print(f"| {name} | " + " | ".join(map(_cell, zip(*rows, strict=True))) + " |")
    print(
        f"\nparent@1 of {figures[0].codes} held-out codes / of the {figures[0].with_siblings} with "
        f"siblings; seeds {options.seeds}, set: {' '.join(options.set) or 'nothing'}; {machine()}"
    )
    return 0


def _trained(
    bench: Bench,
    config: TrainConfig,
    codes: Sequence[str],
    graph: GraphExport,
    seed: int,
    only: Sequence[str],
) -> tuple[Neighbourhood, dict[str, System]]:
    """Systems by name: given what of the graph may be heard, the points (n, d+1) of all codes."""
    data = bench.data(config.contrast.lexical, without_codes(bench.taxonomy, codes))
    space = bench.train(config.contrast, seed, data).space
    around = Neighbourhood.of(space, data, bench.taxonomy, codes, bench.encoder, graph)
    known = set(data.tree.codes)
    inputs, hidden = refine_inputs(
        space, data, of_codes(graph, known), around.code_points[~around.unseen]
    )
    without = None if hidden is None else partial(hidden.codes, space)
    dim, c = config.contrast.map.dim, space.curvature
    points, entries = around.code_points, around.entry_points
    systems: dict[str, System] = {"stage 3": lambda _: points}
    for share in (0.1, 0.3, 0.5):
        systems[f"propagation {share}"] = partial(propagated, points, share=share, curvature=c)
        systems[f"toward entries {share}"] = partial(
            toward_entries, points, entry_points=entries, share=share, curvature=c
        )
    images, queries = _judges(bench, space, data)
    images.put("contrast", inputs.code_points, queries)
    for name, make in networks(config.refine.network, dim, c).items():
        if only and not any(word in name for word in only):
            continue
        result = trained(inputs, config.refine, make, seed, without)
        systems[name] = partial(_refined, result.network, points=points, entries=entries)
        if name == "stage 4":
            with no_grad():
                images.put("refine", result.code_points, result.network.refine_queries(queries))
            moved = systems[name](around.given("entries"))
            before = replace(images.evidence("contrast"), unseen=around.parents_found(points))
            after = replace(images.evidence("refine"), unseen=around.parents_found(moved))
            decision = accept_refinement(before, after)
            word = "accepted" if decision.accepted else "refused"
            print(f"seed {seed}: stage 4 {word}: {decision.reason}\n", flush=True)
    return around, systems


@no_grad()
def _judges(bench: Bench, space: CodeSpace, data: ContrastData) -> tuple[StageImages, Tensor]:
    """Where the codes trained on are judged, and the (q, d+1) validation texts of theirs."""
    known = set(data.tree.codes)
    asked = [e for e in bench.taxonomy.entries if e.evaluated and e.code in known]
    texts = TextInputs.of([e.text for e in asked], bench.encoder, data.vocabulary)
    images = StageImages(data.tree, [e.code for e in asked], space.curvature)
    return images, query_points(space, texts)


@no_grad()
def _refined(network: RefineNetwork, graph: GraphExport, points: Tensor, entries: Tensor) -> Tensor:
    return network.refine_codes(graph, points, entries)


def _cell(seeds: Sequence[tuple[float, float]]) -> str:
    every, siblings = zip(*seeds, strict=True)
    return f"{spread(list(every))} / {spread(list(siblings))}"


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", help="file or URI; default as for naics-graph")
    parser.add_argument("--vintage", default="2022")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="networks whose names hold a word")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(given)


if __name__ == "__main__":
    restart_with_huge_pages()
    raise SystemExit(main())
