"""The headline figures of training: what stage 3 reaches, in which time, at which dimension.

    python benchmarks/training.py --source DIR --roles FILE [--seeds 0 1 2] [--only NAME ...]
        [--set KEY=VALUE ...]

Validation role, text and tree of the same embedding, one row as it is measured; the reference is
the frozen backbone's cosine on the same queries. `held-out codes` trains without a tenth of the
six-digit codes and says how often their texts alone find their parent, over all of them and over
those with siblings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from stage3 import Bench, Trained, arguments, print_conditions, spread

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.evaluate.held_out import held_out_codes, held_out_metrics, without_codes

TUNED: Final = ("finetune.mode=full",)
ROWS: Final[dict[str, tuple[str, ...]]] = {
    "d = 64": (),
    "d = 64, four epochs": ("epochs=4",),
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
    options = parser.parse_args(arguments_given)
    bench = Bench.of(options)
    print(
        "| training | MRR | top-1 | hit@10 | Pearson | Spearman / ceiling | parent@1 | edge MAP "
        "| distortion | seconds |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.only:
        config = load_config(ContrastConfig, None, [*options.set, *ROWS[name]])
        if name == "held-out codes":
            _held_out(bench, config, options.seeds)
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


def _held_out(bench: Bench, config: ContrastConfig, seeds: list[int]) -> None:
    if config.finetune.mode in ("lora", "full"):
        raise SystemExit("held-out codes are read by the frozen backbone: not offered")
    codes = held_out_codes(bench.taxonomy)
    data = bench.data(config.lexical, without_codes(bench.taxonomy, codes))
    found = []
    for seed in seeds:
        run = bench.train(config, seed, data)
        metrics = held_out_metrics(run.space, data, bench.taxonomy, codes, bench.encoder)
        found.append(dataclasses.asdict(metrics))
    every = spread([one["parent_at_1"] for one in found])
    siblings = spread([one["parent_at_1_with_siblings"] for one in found])
    first = found[0]
    print(
        f"\nHeld-out codes, parent@1 from text alone: {every} of {first['codes']}, "
        f"{siblings} of the {first['with_siblings']} with siblings",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
