"""What companion texts are worth: trained on them alone, on the Bureau's alone, and on both.

    python benchmarks/texts.py --source DIR --roles FILE --folder EMPTY [--set KEY=VALUE ...]

Each is loaded into an embedded database in EMPTY, trained with the same settings and seed, and
scored on the validation role of FILE, which no training reads; runs stay in EMPTY. Ends with the
ten codes whose companion phrases the model of the Bureau's texts, which never saw one, confuses
most often.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from naics_graph import settings
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.pipeline import TrainConfig, TrainReport, train
from naics_graph.store.contract import GraphStore
from naics_graph.store.open import open_store
from naics_graph.taxonomy.bundled.edition import read_bundled
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import TEXTS, Texts
from naics_graph.taxonomy.sources import read_taxonomy

VINTAGE = "2022"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train three times and print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True, help="folder of the workbooks")
    parser.add_argument("--roles", type=Path, required=True, help="the split")
    parser.add_argument("--folder", type=Path, required=True, help="for databases and runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    config = load_config(TrainConfig, None, options.set)
    # Runs go to the folder; vectors of texts stay where they are.
    vectors = settings.vectors_dir()
    os.environ["NAICS_GRAPH_HOME"] = str(options.folder)
    linked = settings.vectors_dir()
    linked.parent.mkdir(parents=True, exist_ok=True)
    linked.symlink_to(vectors)
    print("| texts | queries | left out | MRR | top-1 | hit@10 | Pearson | edge MAP | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for texts in TEXTS:
        with open_store(str(options.folder / f"{texts}.lbug")) as store:
            taxonomy = read_taxonomy(options.source, VINTAGE, options.roles, texts)
            store.load(taxonomy)
            report = train(store, config, run=texts)
            _print(texts, store, report)
    _confused(Artifact.load(settings.runs_dir() / "census" / "artifact", vectors))
    return 0


def _print(texts: Texts, store: GraphStore, report: TrainReport) -> None:
    taxonomy = store.taxonomy(VINTAGE)
    published = [stage for stage in report.stages if stage.accepted and "pearson" in stage.metrics]
    metrics = published[-1].metrics
    names = ("mrr", "top1", "hit10", "pearson", "edge_map")
    print(
        f"| {texts} | {len(labelled_texts(taxonomy)):,} | {sum(taxonomy.left_out.values())} | "
        + " | ".join(f"{metrics[name]:.3f}" for name in names)
        + f" | {report.seconds:.0f} |",
        flush=True,
    )
    print(f"{texts}: {report.stages[-1].note}", file=sys.stderr)


def _confused(model: Artifact) -> None:
    phrases = read_bundled(VINTAGE).entries
    codes = [code for code in model.codes if len(code) == 6]
    columns = [model.codes.index(code) for code in codes]
    scores = model.scores(model.published, [phrase.text for phrase in phrases])
    found = [codes[i] for i in np.asarray(scores)[:, columns].argmax(axis=1)]
    asked = Counter(phrase.code for phrase in phrases)
    wrong: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for phrase, answer in zip(phrases, found, strict=True):
        if answer != phrase.code:
            wrong[phrase.code][answer] += 1
    share = {code: wrong[code].total() / asked[code] for code in codes}
    print(f"\nphrases coded right at the first answer: {1 - sum(share.values()) / len(codes):.3f}")
    print("\n| code | phrases | wrong | most often as |\n|---|---|---|---|")
    for code in sorted(codes, key=lambda code: -share[code])[:10]:
        (other, number), *_ = wrong[code].most_common(1)
        print(f"| {code} | {asked[code]} | {share[code]:.0%} | {other} ({number}) |")


if __name__ == "__main__":
    raise SystemExit(main())
