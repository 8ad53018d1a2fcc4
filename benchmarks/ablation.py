"""What each mechanism of stage 3 is worth: the defaults, and one change at a time.

    python benchmarks/ablation.py --source DIR --roles FILE [--texts census] [--seeds 0 1 2]
        [--only NAME ...] [--set KEY=VALUE ...]

Frozen backbone. Prints a Markdown table of the validation role, row by row as it is measured; --set
changes the configuration all rows start from, e.g. a shorter training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stage3 import COMPARED_HEAD, Bench, arguments, print_compared, print_conditions

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.optimisation import DivergedError
from naics_graph.huge_pages import restart_with_huge_pages

WEIGHTS: Final = "objective.weights."
CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "defaults": (),
    "no lexical encoder": ("lexical.dim=0",),
    "no feature dropout": ("lexical.dropout=0",),
    "one expert": ("map.mixture.experts=1", "map.mixture.top_k=1"),
    "no load balance, no z-loss": (f"{WEIGHTS}load_balance=0", f"{WEIGHTS}router_z=0"),
    "no channel dropout": ("map.channel_dropout=0",),
    # Without residuals the map alone drives the codes outward, at the default weight until the
    # radius guard stops the training: compared at a weight that holds both.
    "radius x 10": (f"{WEIGHTS}radius=1",),
    "radius x 10, no residual of codes": (f"{WEIGHTS}radius=1", "residual_rate=0"),
    "residuals regularised": (f"{WEIGHTS}residual=0.01",),
    "no residual dropout": ("objective.residual_dropout=0",),
    "no ancestors' levels": (f"{WEIGHTS}ancestors=0",),
    "no code -> code": (f"{WEIGHTS}code_code=0",),
    "no hierarchy preservation": (f"{WEIGHTS}hierarchy=0",),
    "no LambdaRank": (f"{WEIGHTS}lambda_rank=0",),
    "no radius": (f"{WEIGHTS}radius=0",),
    "no label smoothing": ("objective.smoothing=0",),
    "no weight decay": ("weight_decay=0",),
    "no warm-up": ("warmup=0",),
    "one rate for all": ("residual_rate=5e-3", "lexical.learning_rate=5e-3"),
    "DCL for queries": ("objective.query_loss=dcl",),
    "negatives: in batch": ("objective.negatives.strategies=[in_batch]",),
    "negatives: hard": ("objective.negatives.strategies=[hard]",),
    "negatives: router": ("objective.negatives.strategies=[router]",),
    "negatives: tree": ("objective.negatives.strategies=[tree]",),
    "negatives: hard and router": ("objective.negatives.strategies=[hard,router]",),
    "false negatives eliminated": ("objective.negatives.eliminate=true",),
    "curriculum": ("curriculum.enabled=true",),
    "curriculum by shares alone": ("curriculum.enabled=true", "curriculum.patience=0"),
    "averaged weights": ("averaging=0.98",),
    **{
        f"without {plural}": (f"sources.{source}=0",)
        for source, plural in {
            "index": "index entries",
            "phrase": "companion phrases",
            "title": "titles",
            "description": "descriptions",
            "example": "illustrative examples",
            "exclusion": "cross-reference clauses",
        }.items()
    },
}


def main(arguments_given: Sequence[str] | None = None) -> int:
    """Train every row for every seed and print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES))
    options = parser.parse_args(arguments_given)
    bench = Bench.of(options)
    print(f"| change {COMPARED_HEAD}")
    for name in options.only:
        config = load_config(ContrastConfig, None, [*options.set, *CHANGES[name]])
        try:
            runs = [bench.train(config, seed) for seed in options.seeds]
        except DivergedError as stopped:
            print(f"| {name} | stopped: {stopped.saw} | | | | |", flush=True)
        else:
            print_compared(name, runs)
    print_conditions(options)
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    raise SystemExit(main())
