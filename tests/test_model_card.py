"""The model card: what it says is what can be counted, measured and hashed anew."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import metadata_load

from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.evaluate.hierarchy import tree_metrics
from naics_graph.geometry import lorentz
from naics_graph.model_card import Training, model_card
from naics_graph.pipeline import TrainConfig, TrainReport, train
from naics_graph.reading import with_held_out
from naics_graph.store.open import open_store
from naics_graph.taxonomy.labelled import labelled_texts
from naics_graph.taxonomy.model import Taxonomy
from naics_graph.taxonomy.tree import Tree
from tests.search.tiny import tiny_artifact
from tests.search.world import make_world
from tests.tiny_training import tiny_home, tiny_settings, without_roles

SHORT = ("contrast.epochs=1", "refine.epochs=1", "contrast.sources.title=0", "seed=3")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with tiny_home(tmp_path_factory) as folder:
        yield folder


def trained(home: Path, taxonomy: Taxonomy, run: str, *changes: str) -> TrainReport:
    config = load_config(TrainConfig, None, [*tiny_settings(home), *SHORT, *changes])
    with open_store(str(home / f"{run}.lbug")) as store:
        store.load(taxonomy)
        return train(store, config, run=run)


def loaded(home: Path, *, roles: bool) -> Taxonomy:
    with open_store(str(home / "tiny.lbug"), read_only=True) as store:
        taxonomy = store.taxonomy("2022")
    return taxonomy if roles else without_roles(taxonomy)


def cells(card: str, heading: str) -> dict[str, str]:
    """The two columns of the table below a heading."""
    section = card.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = section.split("|---|---|\n")[1]
    return dict(re.findall(r"^\| (.*?) \| (.*?) \|$", rows, re.MULTILINE))


def measured(artifact: Artifact, taxonomy: Taxonomy) -> dict[str, float]:
    """The figures of the published stage from the artifact's points and its images of texts."""
    judges = [entry for entry in taxonomy.entries if entry.evaluated]
    leaves = [i for i, code in enumerate(artifact.codes) if len(code) == 6]
    truth = [leaves.index(artifact.codes.index(entry.code)) for entry in judges]
    texts = [entry.text for entry in judges]
    scores = artifact.scores(artifact.published, texts)[:, leaves]
    own = scores[np.arange(len(truth)), truth][:, None]
    rank = 1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    points = torch.from_numpy(artifact.points())
    distance = lorentz.pairwise_distance(points, points, artifact.curvature).numpy()
    tree = dataclasses.asdict(tree_metrics(distance, Tree.of(taxonomy)))
    return {"mrr": float((1 / rank).mean()), "hit10": float((rank <= 10).mean()), **tree}


@pytest.mark.parametrize("roles", [True, False])
def test_figures_counts_and_hashes_are_those_of_the_training(home: Path, *, roles: bool) -> None:
    changes = [] if roles else ["held_out=0.3"]
    taxonomy = loaded(home, roles=roles)
    report = trained(home, taxonomy, f"roles-{roles}", *changes)
    folder = report.folder / "artifact"
    card = (folder / "README.md").read_text(encoding="utf-8")
    artifact, split = Artifact.load(folder), with_held_out(taxonomy, 0.3, 3)

    judges = sum(entry.evaluated for entry in split.entries)
    assert judges > 10
    which = "the entries of the validation role"
    if not roles:
        which = "a share of 0.3 of the index entries, drawn by the seed"
    assert f"on {judges} held-out ones, {which},\namong the {leaves(taxonomy)} six-digit" in card
    assert f"on all {len(taxonomy.industries)} codes" in card
    figures = {name: float(value) for name, value in cells(card, "Figures").items()}
    for name, value in measured(artifact, split).items():
        assert figures[name] == pytest.approx(value, abs=6e-5), name

    counts = Counter(text.source for text in labelled_texts(split) if text.source != "title")
    assert cells(card, "Training") == {source: str(count) for source, count in counts.items()}
    assert f"{counts.total()} labelled texts, seed 3." in card

    settings = re.findall(r"^    (\S+=.*)$", card, re.MULTILINE)
    assert load_config(TrainConfig, None, settings) == load_config(
        TrainConfig, report.folder / "config.yaml"
    )
    hashes = cells(card, "Made of")
    weights = (folder / "model.safetensors").read_bytes()
    assert hashes["`model.safetensors`"] == hashlib.sha256(weights).hexdigest()
    backbone = (home / "model" / "model.safetensors").read_bytes()
    name = f"backbone {home / 'model'} (frozen)"
    assert hashes[name] == hashlib.sha256(backbone).hexdigest()
    with open_store(str(home / f"roles-{roles}.lbug"), read_only=True) as store:
        assert hashes["loaded graph"] == store.graph_version("2022")
        assert store.embedding_sets()[0].model_sha256 == hashes["`model.safetensors`"]


def leaves(taxonomy: Taxonomy) -> int:
    return sum(industry.level == 6 for industry in taxonomy.industries)


@pytest.mark.parametrize("base", ["sentence-transformers/all-MiniLM-L6-v2", "a folder"])
def test_the_head_is_read_by_the_hub_and_names_no_folder(tmp_path: Path, base: str) -> None:
    world = make_world("2022", seed=2, curvature=0.5)
    artifact = tiny_artifact(tmp_path, world)
    config = artifact.config
    if base != "a folder":
        config = dataclasses.replace(
            config, backbone=dataclasses.replace(config.backbone, name=base)
        )
    training = Training(metrics={}, judges=0, share=0.0, texts={}, seed=0, settings={})
    path = tmp_path / "README.md"
    path.write_text(model_card(config, training, artifact.model_sha256), encoding="utf-8")
    head = {"library_name": "naics-graph", "tags": ["naics", "hyperbolic"]}
    assert metadata_load(path) == head | ({} if base == "a folder" else {"base_model": base})
    said = path.read_text(encoding="utf-8")
    assert "No text was held out" in said
    assert "All settings are the defaults." in said
