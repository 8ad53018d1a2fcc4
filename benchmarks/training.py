"""The headline figures of training: what stage 3 reaches, in which time, at which dimension.

    python benchmarks/training.py --source DIR --roles FILE [--seeds 0 1 2] [--only NAME ...]
        [--set KEY=VALUE ...] [--held-out SHARE] [--draws 0]

Validation role, text and tree of the same embedding, one row as it is measured; the reference is
the frozen backbone's cosine on the same queries. `held-out codes` trains without a share of the
six-digit codes, a tenth by default, and says how often their texts alone find their parent, over
all of them and over those with siblings: once for every seed of the draw and of the training.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import numpy as np
from stage3 import Bench, Trained, arguments, print_conditions, spread

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.evaluate.held_out import (
    SHARE,
    held_out_codes,
    held_out_metrics,
    without_codes,
)
from naics_graph.huge_pages import restart_with_huge_pages

TUNED: Final = ("finetune.mode=full",)
ROWS: Final[dict[str, tuple[str, ...]]] = {
    "d = 64": (),
    # In about three minutes of two cores; so short, the edges need more weight.
    "d = 64, five epochs": ("epochs=5", "objective.weights.lambda_rank=0.5"),
    "d = 16": ("map.dim=16",),
    "held-out codes": (),
    "fine-tuned, d = 64": TUNED,
    "fine-tuned, d = 16": (*TUNED, "map.dim=16"),
    "LoRA, d = 64": ("finetune.mode=lora",),
}
COLUMNS: Final = ("mrr", "top1", "hit10", "pearson", "parent_at_1", "edge_map", "distortion")


def main(arguments_given: Sequence[str] | None = None) -> int:
    """Train every row for every seed and print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--held-out", type=float, default=SHARE, help="share of the codes")
    parser.add_argument("--draws", type=int, nargs="+", default=[0], help="seeds of their choice")
    options = parser.parse_args(arguments_given)
    bench = Bench.of(options)
    print(
        "| training | MRR | top-1 | hit@10 | Pearson | Spearman / ceiling | parent@1 | edge MAP "
        "| distortion | seconds |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.only:
        config = load_config(ContrastConfig, None, [*options.set, *ROWS[name]])
        if name == "held-out codes":
            _held_out(bench, config, options)
        else:
            _print(name, [bench.train(config, seed) for seed in options.seeds])
    print_conditions(options)
    return 0


def _print(name: str, runs: list[Trained]) -> None:
    figures = {column: [run.metrics[column] for run in runs] for column in COLUMNS}
    ratio = [run.metrics["spearman"] / run.metrics["spearman_ceiling"] for run in runs]
    cells = [spread(figures[column]) for column in COLUMNS]
    cells.insert(4, spread(ratio))
    seconds = f"{np.median([run.seconds for run in runs]):.0f}"
    print(f"| {name} | " + " | ".join([*cells, seconds]) + " |", flush=True)


def _held_out(bench: Bench, config: ContrastConfig, options: argparse.Namespace) -> None:
    if config.finetune.mode in ("lora", "full"):
        raise SystemExit("held-out codes are read by the frozen backbone: not offered")
    found, figures = [], []
    for draw in options.draws:
        codes = held_out_codes(bench.taxonomy, options.held_out, draw)
        data = bench.data(config.lexical, without_codes(bench.taxonomy, codes))
        for seed in options.seeds:
            run = bench.train(config, seed, data)
            found.append(held_out_metrics(run.space, data, bench.taxonomy, codes, bench.encoder))
            figures.append(run.metrics)
    print(
        f"\nHeld-out codes, parent@1 from text alone: {spread([f.parent_at_1 for f in found])} of "
        f"{found[0].codes}, {spread([f.parent_at_1_with_siblings for f in found])} of those with "
        f"siblings ({', '.join(str(f.with_siblings) for f in found)}); of these trainings "
        f"MRR {spread([f['mrr'] for f in figures])}, Pearson "
        f"{spread([f['pearson'] for f in figures])}, edge MAP "
        f"{spread([f['edge_map'] for f in figures])}",
        flush=True,
    )


if __name__ == "__main__":
    restart_with_huge_pages()
    raise SystemExit(main())
