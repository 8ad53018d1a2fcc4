"""What linear models and neighbours can teach stage 3: a start for its table, and soft labels.

    python benchmarks/teachers.py --source DIR --roles FILE [--texts census] [--seeds 0 1 2]
        [--set KEY=VALUE ...]

`start`: the lexical table starts as the right singular vectors of the codes' summed bags (a linear
model of code by feature at the table's rank). `soft labels`: a share of every label is what the 20
nearest other training texts say (half tf-idf cosine, half the frozen backbone's). Neither is part
of the program; the table says why.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from stage3 import Bench, Trained, arguments, machine, spread
from torch import Tensor

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.data import Batch, ContrastData
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.trainer import ContrastTrainer, build_space
from naics_graph.encode.lexical import LexicalFeatures
from naics_graph.runs import Run

NEAREST: Final = 20
SHARPNESS: Final = 20.0
SHARE: Final = 0.2
ROWS: Final = ("none", "start", "soft labels")


@dataclass(frozen=True)
class WatchedData(ContrastData):
    """Training data that remembers which queries it gave last."""

    asked: list[Tensor] = field(default_factory=list)

    def batch(self, rows: Tensor) -> Batch:
        """The queries of the given rows."""
        self.asked[:] = [rows]
        return super().batch(rows)


class SoftLabels(Objective):
    """The objective with a share of each six-digit label as neighbours have it."""

    def __init__(self, config: ContrastConfig, data: WatchedData) -> None:
        super().__init__(config.objective, data)
        self.watched = data
        self.column, self.weight = neighbours(data)

    def _match(
        self, distance: Tensor, positive: Tensor, temperature: Tensor, allowed: Tensor | None
    ) -> Tensor:
        loss = super()._match(distance, positive, temperature, allowed)
        if distance.shape[1] != len(self.level_codes[-1]):
            return loss
        rows = self.watched.asked[0]
        log_share = torch.log_softmax(-distance / temperature, dim=1)
        taught = -(log_share.gather(1, self.column[rows]) * self.weight[rows]).sum(dim=1)
        return (1 - SHARE) * loss + SHARE * taught


def bags(features: LexicalFeatures, buckets: int) -> csr_matrix:
    """(n, buckets) the bags of n texts."""
    shape = (len(features), buckets)
    parts = (features.weight.numpy(), features.index.numpy(), features.start.numpy())
    return csr_matrix(parts, shape=shape)


def neighbours(data: ContrastData) -> tuple[Tensor, Tensor]:
    """Of every query its nearest others: their codes' column (Q, 20), and weight (Q, 20)."""
    depth = torch.from_numpy(data.tree.depth)
    column = torch.cumsum(depth == 5, 0) - 1
    known = torch.nonzero(depth[data.query_code] == 5).squeeze(1)
    lexical = bags(data.query_inputs.lexical, len(data.vocabulary.idf))
    vectors = data.query_inputs.vectors
    others, transposed = vectors[known].T, lexical[known.numpy()].T.tocsr()
    found = []
    for rows in torch.split(torch.arange(len(data.query_code)), 2000):
        near = torch.from_numpy((lexical[rows.numpy()] @ transposed).toarray()).float()
        near = (near + vectors[rows] @ others) / 2
        near[rows[:, None] == known] = -1.0
        found.append(near.topk(NEAREST, dim=1))
    score, at = (torch.cat(parts) for parts in zip(*found, strict=True))
    return column[data.query_code[known[at]]], torch.softmax(SHARPNESS * score, dim=1).double()


def singular_start(data: ContrastData, dim: int) -> Tensor:
    """(buckets, dim) rows whose products with bags are the codes' best of that rank."""
    lexical = bags(data.query_inputs.lexical, len(data.vocabulary.idf))
    above = data.tree.ancestors[data.query_code.numpy()]
    query, level = np.nonzero(above >= 0)
    shape = (len(data.tree.codes), len(above))
    member = csr_matrix((np.ones(len(query)), (above[query, level], query)), shape=shape)
    count = np.maximum(np.asarray(member.sum(axis=1)), 1.0)
    _, value, right = svds(member.multiply(1 / np.sqrt(count)) @ lexical, k=dim, random_state=0)
    table = torch.from_numpy(right.T * np.sqrt(value))
    length = torch.from_numpy(lexical @ table.numpy()).square().sum(dim=1).mean().sqrt()
    return (0.4 * table / length).float()


def train(bench: Bench, row: str, config: ContrastConfig, data: WatchedData, seed: int) -> Trained:
    """Train and measure one row for one seed."""
    start = build_space(config, data, seed)
    started = time.perf_counter()
    if row == "start" and start.reader.lexical is not None:
        with torch.no_grad():
            start.reader.lexical.table.copy_(singular_start(data, config.lexical.dim))
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", "")
        trainer = ContrastTrainer(config, data, run, seed, start=start)
        if row == "soft labels":
            trainer.objective = SoftLabels(config, data)
            trainer.objective.router = trainer.router
        space = trainer.train()
        run.close()
    return Trained(space, data, bench.measure(space, data), time.perf_counter() - started)


def main(arguments_given: Sequence[str] | None = None) -> int:
    """Train every row for every seed and print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args(arguments_given)
    config = load_config(ContrastConfig, None, options.set)
    bench = Bench.of(options)
    read = bench.data(config.lexical)
    data = WatchedData(**{one.name: getattr(read, one.name) for one in fields(read)})
    print("| taught by | MRR | top-1 | Pearson | edge MAP | seconds |\n|---|---|---|---|---|---|")
    for row in options.only:
        runs = [train(bench, row, config, data, seed) for seed in options.seeds]
        cells = [
            spread([run.metrics[name] for run in runs])
            for name in ("mrr", "top1", "pearson", "edge_map")
        ]
        cells.append(f"{np.median([run.seconds for run in runs]):.0f}")
        print(f"| {row} | " + " | ".join(cells) + " |", flush=True)
    changed = " ".join(options.set) or "nothing"
    print(f"\nTexts {options.texts}, seeds {options.seeds}, set: {changed}; {machine()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
