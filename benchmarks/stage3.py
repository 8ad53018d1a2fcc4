"""What the benchmarks of stage 3 share: the data once, a training, its figures on one split."""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import torch

from naics_graph import settings
from naics_graph.artifact import QUERY_CHANNEL
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.finetuning import train_space
from naics_graph.contrast.space import CodeSpace
from naics_graph.encode.backbone import BackboneConfig, load_backbone
from naics_graph.encode.cache import CachedBackbone
from naics_graph.encode.finetune import Tokens, TunedBackbone
from naics_graph.encode.lexical import LexicalConfig
from naics_graph.encode.reader import TextInputs
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.evaluate.retrieval import retrieval_metrics
from naics_graph.geometry import lorentz
from naics_graph.runs import Run
from naics_graph.taxonomy.model import TEXTS, Taxonomy
from naics_graph.taxonomy.sources import read_taxonomy

VINTAGE = "2022"


@dataclass(frozen=True)
class Trained:
    """A finished training: what it learned, its figures, seconds of training alone."""

    space: CodeSpace
    data: ContrastData
    metrics: dict[str, float]
    seconds: float


def arguments(doc: str) -> argparse.ArgumentParser:
    """The options every benchmark of stage 3 takes."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of the workbooks")
    parser.add_argument("--roles", type=Path, required=True, help="the split")
    parser.add_argument("--texts", choices=TEXTS, default="both")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    return parser


class Bench:
    """Texts of one load, encoded once, and trainings on them."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.backbone = load_backbone(BackboneConfig())
        self.encoder = CachedBackbone(self.backbone, settings.vectors_dir())
        self._data: dict[tuple[int, LexicalConfig], tuple[Taxonomy, ContrastData]] = {}

    @classmethod
    def of(cls, options: argparse.Namespace) -> Self:
        """From the workbooks that options parsed by `arguments` name."""
        return cls(read_taxonomy(options.source, VINTAGE, options.roles, options.texts))

    def data(self, lexical: LexicalConfig, taxonomy: Taxonomy | None = None) -> ContrastData:
        """Training data of a taxonomy, default the whole."""
        taxonomy = taxonomy or self.taxonomy
        shape = dataclasses.replace(lexical, dropout=0.0, learning_rate=1.0)
        if (id(taxonomy), shape) not in self._data:
            # With the taxonomy, so that no other one is given its id.
            read = ContrastData.of(taxonomy, self.encoder, lexical)
            self._data[id(taxonomy), shape] = taxonomy, read
        return self._data[id(taxonomy), shape][1]

    def train(self, config: ContrastConfig, seed: int, data: ContrastData | None = None) -> Trained:
        """Train stage 3 and measure it on the validation role."""
        if config.judges_epochs:
            raise SystemExit(
                "keep and early_stopping look at the figures measured here: not offered"
            )
        data = data or self.data(config.lexical)
        if config.finetune.mode in ("lora", "full"):
            data = data.with_tokens(self.backbone)
        with tempfile.TemporaryDirectory() as folder:
            run = Run.create(Path(folder) / "run", "")
            started = time.perf_counter()
            trained = train_space(config, data, run, seed, lambda: self.backbone)
            seconds = time.perf_counter() - started
            run.close()
        space, data = trained.space, trained.data
        return Trained(space, data, self.measure(space, data, trained.tuned), seconds)

    @torch.no_grad()
    def measure(
        self, space: CodeSpace, data: ContrastData, tuned: TunedBackbone | None = None
    ) -> dict[str, float]:
        """Retrieval of the validation texts of the codes trained on, and the tree figures.

        tuned: what reads the texts, where the backbone has learned.
        """
        tree = data.tree
        leaves = np.flatnonzero(tree.depth == 5)
        leaf = {tree.codes[position]: i for i, position in enumerate(leaves)}
        asked = [e for e in self.taxonomy.entries if e.evaluated and e.code in leaf]
        truth = np.array([leaf[entry.code] for entry in asked])
        texts = [entry.text for entry in asked]
        inputs = TextInputs.of(texts, self.encoder, data.vocabulary)
        channel = torch.full((len(asked),), QUERY_CHANNEL)
        if tuned is not None:
            tokens = Tokens.of(self.backbone, texts)
            inputs = dataclasses.replace(inputs, vectors=tuned(tokens, channel).cpu())
        codes = space.codes(*data.channels(space.reader).full()).tangent
        queries = space.queries(inputs, channel).tangent
        distance = lorentz.tangent_pairwise_distance(queries, codes[leaves], space.curvature)
        lca = tree.lca_depth[np.ix_(leaves, leaves)]
        between = lorentz.tangent_pairwise_distance(codes, codes, space.curvature).numpy()
        return {
            **dataclasses.asdict(retrieval_metrics(-distance.numpy(), truth, lca)),
            **dataclasses.asdict(tree_metrics(between, tree)),
        }


def spread(values: list[float], digits: int = 3) -> str:
    """Mean and, of several, standard deviation."""
    text = f"{np.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {np.std(values, ddof=1):.{digits}f}"


COMPARED: Final = ("mrr", "top1", "pearson", "edge_map")
COMPARED_HEAD: Final = "| MRR | top-1 | Pearson | edge MAP | seconds |\n|---|---|---|---|---|---|"


def print_compared(name: str, runs: Sequence[Trained]) -> None:
    """One row below `COMPARED_HEAD`: figures of one setting over its seeds, median seconds."""
    cells = [spread([run.metrics[metric] for run in runs]) for metric in COMPARED]
    cells.append(f"{np.median([run.seconds for run in runs]):.0f}")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def print_conditions(options: argparse.Namespace) -> None:
    """The line below a table: what it was measured on and with."""
    changed = " ".join(options.set) or "nothing"
    print(f"\nTexts {options.texts}, seeds {options.seeds}, set: {changed}; {machine()}")


def machine() -> str:
    """Cores and versions, for the line below a table."""
    return f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"
