"""What linear models and neighbours can teach stage 3: a start for its table, and soft labels.

    python benchmarks/teachers.py --source DIR --roles FILE [--texts census] [--seeds 0 1 2]
        [--only NAME ...] [--set KEY=VALUE ...]

`start`: the lexical table starts as the right singular vectors of the codes' summed bags (a linear
model of code by feature at the table's rank). `neighbours` and `svm`: a fifth of every six-digit
label is what a teacher says of the text. Neighbours are the 20 nearest other training texts (half
tf-idf cosine, half the frozen backbone's); the linear SVM reads the same tf-idf bags and scores
each fold of the training texts after a fit on the other folds. None is part of the program; the
table in docs/training.md says why.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.svm import LinearSVC
from stage3 import (
    COMPARED_HEAD,
    Bench,
    Trained,
    arguments,
    print_compared,
    print_conditions,
)
from torch import Tensor

from naics_graph.config import load_config
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.data import Batch, ContrastData
from naics_graph.contrast.objective import Objective
from naics_graph.contrast.trainer import ContrastTrainer, build_space
from naics_graph.encode.lexical import FIRST_LENGTH, LexicalFeatures
from naics_graph.huge_pages import restart_with_huge_pages
from naics_graph.runs import Run

NEAREST: Final = 20
SHARPNESS: Final = 20.0
SHARE: Final = 0.2
FOLDS: Final = 3

Teacher = tuple[Tensor, Tensor]
"""Of every query 20 six-digit codes by column (Q, 20), and a share for each (Q, 20), float64."""


@dataclass(frozen=True)
class WatchedData(ContrastData):
    """Training data that remembers which queries it gave last."""

    asked: list[Tensor] = field(default_factory=list)

    def batch(self, rows: Tensor) -> Batch:
        """The queries of the given rows."""
        self.asked[:] = [rows]
        return super().batch(rows)


class SoftLabels(Objective):
    """The objective with a share of each six-digit label as a teacher has it."""

    def __init__(self, config: ContrastConfig, data: WatchedData, teacher: Teacher) -> None:
        super().__init__(config.objective, data)
        self.watched = data
        self.column, self.weight = teacher

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


def bags(data: ContrastData) -> csr_matrix:
    """(Q, buckets) the queries' bags."""
    features: LexicalFeatures = data.query_inputs.lexical
    shape = (len(features), len(data.vocabulary.idf))
    parts = (features.weight.numpy(), features.index.numpy(), features.start.numpy())
    return csr_matrix(parts, shape=shape)


def columns(data: ContrastData) -> Tensor:
    """(Q,) of each query its six-digit code's place among those, -1 for one of another level."""
    leaf = torch.from_numpy(data.tree.depth) == 5
    column = torch.where(leaf, torch.cumsum(leaf, 0) - 1, -1)
    return column[data.query_code]


def neighbours(data: ContrastData) -> Teacher:
    """The nearest other texts."""
    column = columns(data)
    known = torch.nonzero(column >= 0).squeeze(1)
    lexical, vectors = bags(data), data.query_inputs.vectors
    others, transposed = vectors[known].T, lexical[known.numpy()].T.tocsr()
    found = []
    for rows in torch.split(torch.arange(len(data.query_code)), 2000):
        near = torch.from_numpy((lexical[rows.numpy()] @ transposed).toarray()).float()
        near = (near + vectors[rows] @ others) / 2
        near[rows[:, None] == known] = -1.0
        found.append(near.topk(NEAREST, dim=1))
    score, at = (torch.cat(parts) for parts in zip(*found, strict=True))
    return column[known[at]], torch.softmax(SHARPNESS * score, dim=1).double()


def svm(data: ContrastData) -> Teacher:
    """A linear SVM that has not seen the text, at the sharpness that fits the labels best.

    A text of another level is not taught: its six-digit loss does not count.
    """
    column = columns(data)
    known = torch.nonzero(column >= 0).squeeze(1)
    label = column[known].numpy()
    same = {data.labelled[i].text.lower(): i for i in known.tolist()}
    groups = [same[data.labelled[i].text.lower()] for i in known.tolist()]
    classes = np.unique(label)
    score = cross_val_predict(
        LinearSVC(C=1.0, random_state=0),
        bags(data)[known.numpy()],
        label,
        groups=groups,
        cv=GroupKFold(FOLDS),
        method="decision_function",
    )
    # A class without a text in the fit has the lowest number there is for a score.
    plane = torch.from_numpy(np.maximum(score, -3.0)).float()
    at = torch.from_numpy(np.searchsorted(classes, label))

    def surprise(sharpness: float) -> float:
        return float(torch.nn.functional.cross_entropy(sharpness * plane, at))

    sharpness = minimize_scalar(surprise, bounds=(1.0, 30.0), method="bounded").x
    first = float((plane.argmax(dim=1) == at).double().mean())
    print(f"SVM out of fold: top-1 {first:.3f}, sharpness {sharpness:.1f}", flush=True)
    best, place = (sharpness * plane).topk(NEAREST, dim=1)
    taught = torch.zeros(len(column), NEAREST, dtype=torch.long)
    weight = torch.zeros(len(column), NEAREST, dtype=torch.float64)
    taught[known] = torch.from_numpy(classes)[place]
    weight[known] = torch.softmax(best, dim=1).double()
    return taught, weight


def singular_start(data: ContrastData, dim: int) -> Tensor:
    """(buckets, dim) rows whose products with bags are the codes' best of that rank."""
    lexical = bags(data)
    above = data.tree.ancestors[data.query_code.numpy()]
    query, level = np.nonzero(above >= 0)
    shape = (len(data.tree.codes), len(above))
    member = csr_matrix((np.ones(len(query)), (above[query, level], query)), shape=shape)
    count = np.maximum(np.asarray(member.sum(axis=1)), 1.0)
    _, value, right = svds(member.multiply(1 / np.sqrt(count)) @ lexical, k=dim, random_state=0)
    table = torch.from_numpy(right.T * np.sqrt(value))
    length = torch.from_numpy(lexical @ table.numpy()).square().sum(dim=1).mean().sqrt()
    return (FIRST_LENGTH * table / length).float()


TEACHERS: Final[dict[str, Callable[[ContrastData], Teacher]]] = {
    "neighbours": neighbours,
    "svm": svm,
}
ROWS: Final = ("none", "start", *TEACHERS)


def train(
    bench: Bench,
    config: ContrastConfig,
    data: WatchedData,
    seed: int,
    table: Tensor | None,
    teacher: Teacher | None,
) -> Trained:
    """Train and measure for one seed, from a table and with a teacher if there are any."""
    start = build_space(config, data, seed)
    if table is not None and start.reader.lexical is not None:
        with torch.no_grad():
            start.reader.lexical.table.copy_(table)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", "")
        trainer = ContrastTrainer(config, data, run, seed, start=start)
        if teacher is not None:
            trainer.objective = SoftLabels(config, data, teacher)
            trainer.objective.router = trainer.router
        space = trainer.train()
        seconds = time.perf_counter() - started
        run.close()
    return Trained(space, data, bench.measure(space, data), seconds)


def main(arguments_given: Sequence[str] | None = None) -> int:
    """Train every row for every seed and print the table."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args(arguments_given)
    config = load_config(ContrastConfig, None, options.set)
    bench = Bench.of(options)
    read = bench.data(config.lexical)
    data = WatchedData(**{one.name: getattr(read, one.name) for one in fields(read)})
    print(f"| taught by {COMPARED_HEAD}")
    for row in options.only:
        table = singular_start(data, config.lexical.dim) if row == "start" else None
        teacher = TEACHERS[row](data) if row in TEACHERS else None
        runs = [train(bench, config, data, seed, table, teacher) for seed in options.seeds]
        print_compared(row, runs)
    print_conditions(options)
    return 0


if __name__ == "__main__":
    restart_with_huge_pages()
    raise SystemExit(main())
