"""The whole pipeline with the real transformer on both databases, small settings.

From the bundled edition: load, train, publish, ask; then the same on Neo4j when it is there.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from naics_graph import pipeline, settings
from naics_graph.artifact import Artifact
from naics_graph.config import load_config
from naics_graph.encode.backbone import BackboneConfig, load_backbone
from naics_graph.errors import ArtifactMismatchError, DatabaseError
from naics_graph.evaluate.gates import GateDecision
from naics_graph.geometry import lorentz
from naics_graph.pipeline import TrainConfig, TrainReport, embedding_rows, train
from naics_graph.reading import with_fewer_entries, with_held_out
from naics_graph.search.catalogue import Value, hybrid_query, run_hybrid
from naics_graph.store.contract import GraphStore, NearestRequest
from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import IndexEntry, Role, Taxonomy
from naics_graph.taxonomy.sources import read_taxonomy
from tests.encode.tiny import write_tiny_model
from tests.search.reference import REFERENCES
from tests.search.world import World
from tests.tiny_training import without_roles

SMALL = [
    "contrast.epochs=2",
    "contrast.map.dim=16",
    "contrast.map.width=64",
    "contrast.map.mixture.hidden=32",
    "contrast.objective.sampled_codes=64",
    "refine.epochs=1",
    "refine.batch_size=1024",
]

# What needs the graph and the refined points together.
QUESTIONS: dict[str, dict[str, Value]] = {
    "reclassify": {"level": 6, "far": 10, "limit": 20},
    "near_but_outside": {"within": "5415", "limit": 20},
    "sector_confusions": {"closest": 5000, "limit": 10},
    "closest_exclusions": {"limit": 20},
    "moved_most": {"limit": 20},
}


def with_entries(taxonomy: Taxonomy) -> Taxonomy:
    """A few entries to learn from and texts to judge by; other texts in their sectors alone.

    Encoding the whole edition takes minutes, which no test here needs.
    """
    phrases = {
        "812910": ["washing and clipping dogs", "cat hotel", "pet walker", "dog day care"],
        "541511": ["writing programs to order", "bespoke web applications", "app coding for firms"],
        "111110": ["fields of soya", "soya growers", "bean farm, soya"],
        "722511": ["bistro with waiters", "table service diner", "family restaurant, seated"],
    }
    entries = tuple(
        IndexEntry(f"2022:own:{code}:{i}", text, code, role=role)
        for code, texts in phrases.items()
        for i, (text, role) in enumerate(
            zip(texts, [Role.EXAMPLES, Role.TRAINING, Role.VALIDATION, Role.TRAINING], strict=False)
        )
    )
    sectors = ("11", "54", "72", "81")
    industries = tuple(
        i
        if i.code.startswith(sectors)
        else dataclasses.replace(i, description="", described_by=None, examples=(), excluded=())
        for i in taxonomy.industries
    )
    exclusions = tuple(e for e in taxonomy.exclusions if e.source.startswith(sectors))
    return dataclasses.replace(
        taxonomy, industries=industries, exclusions=exclusions, entries=entries
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs in a folder of the test; vectors where the user's are, encoded once."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        vectors = settings.vectors_dir()
        patch.setenv("NAICS_GRAPH_HOME", str(folder))
        patch.delenv("NEO4J_URI", raising=False)
        patch.setattr(settings, "vectors_dir", lambda: vectors)
        yield folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Iterator[tuple[GraphStore, TrainReport]]:
    """A trained embedded database."""
    with open_store(str(home / "spine.lbug")) as store:
        store.load(with_entries(read_taxonomy(None, "2022", None)))
        config = load_config(TrainConfig, None, SMALL)
        yield store, train(store, config, run="first")


@pytest.mark.slow
def test_the_run_folder_holds_everything(trained: tuple[GraphStore, TrainReport]) -> None:
    _, report = trained
    assert [stage.stage for stage in report.stages] == ["encode", "mixture", "contrast", "refine"]
    assert (report.folder / "config.yaml").exists()
    records = [json.loads(r) for r in (report.folder / "metrics.jsonl").read_text().splitlines()]
    assert {record["stage"] for record in records} == {"contrast", "refine"}
    assert sorted(p.name for p in (report.folder / "artifact").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "points.safetensors",
    ]
    assert report.stages[-1].note, "stage 4 says why it was accepted or not"


@pytest.mark.slow
def test_published_points_are_the_artifacts_and_on_the_sheet(
    trained: tuple[GraphStore, TrainReport],
) -> None:
    store, report = trained
    artifact = Artifact.load(report.folder / "artifact")
    codes, points = store.read_set("first")
    order = [artifact.codes.index(code) for code in codes]
    assert np.array_equal(points, artifact.points()[order])
    assert lorentz.sheet_error(torch.from_numpy(points), artifact.curvature).max() <= 1e-9
    info = store.embedding_sets()[0]
    assert (info.id, info.status, info.dims) == ("first", "active", 16)
    assert info.model_sha256 == artifact.model_sha256


def require_answers(store: GraphStore, report: TrainReport) -> None:
    """The database answers QUESTIONS as numpy does from the published points."""
    artifact = Artifact.load(report.folder / "artifact")
    taxonomy = store.taxonomy("2022")
    published = dict(zip(*store.read_set(report.embedding_set), strict=True))
    before, after = (torch.from_numpy(artifact.points(s)) for s in ("contrast", "refine"))
    world = World(
        taxonomy,
        np.stack([published[industry.code] for industry in taxonomy.industries]),
        lorentz.distance(before, after, artifact.curvature).numpy(),
        artifact.curvature,
        report.embedding_set,
    )
    assert list(artifact.codes) == list(world.index.codes)
    for name, parameters in QUESTIONS.items():
        expected = REFERENCES[name](world, **parameters)
        assert len(expected) == parameters["limit"], name
        given = dict(hybrid_query(store.dialect, name).parameters) | parameters
        rows = run_hybrid(store, name, given)
        assert [tuple(row) for row in rows] == [tuple(row) for row in expected], name
        for row, wanted in zip(rows, expected, strict=True):
            close = {k: pytest.approx(v, abs=1e-6) for k, v in wanted.items() if type(v) is float}
            assert row == wanted | close, name


@pytest.mark.slow
def test_what_needs_graph_and_points_is_answered_as_numpy_does(
    trained: tuple[GraphStore, TrainReport],
) -> None:
    require_answers(*trained)


@pytest.mark.slow
def test_a_text_is_encoded_into_the_space_of_the_codes_and_found(
    trained: tuple[GraphStore, TrainReport],
) -> None:
    store, report = trained
    artifact = Artifact.load(report.folder / "artifact")
    point = artifact.encode(["Soybean Farming"])[0]
    assert lorentz.sheet_error(torch.from_numpy(point), artifact.curvature) <= 1e-9
    knn = lorentz.knn_query(torch.from_numpy(point)).numpy()
    found = store.nearest(NearestRequest("2022", point, knn, limit=5))
    leaves = [i for i, code in enumerate(artifact.codes) if len(code) == 6 and "-" not in code]
    distance = lorentz.pairwise_distance(
        torch.from_numpy(point)[None], torch.from_numpy(artifact.points()[leaves]), 1.0
    )[0]
    nearest = [artifact.codes[leaves[i]] for i in distance.argsort()[:5].tolist()]
    assert [neighbour.code for neighbour in found[:5]] == nearest


@pytest.mark.slow
def test_without_validation_entries_nothing_changes(
    home: Path, trained: tuple[GraphStore, TrainReport]
) -> None:
    """The map, the codes' points and their scores do not read the validation role."""
    store, report = trained
    taxonomy = store.taxonomy("2022")
    assert any(entry.evaluated for entry in taxonomy.entries)
    bare = dataclasses.replace(
        taxonomy, entries=tuple(e for e in taxonomy.entries if not e.evaluated)
    )
    config = load_config(TrainConfig, None, [*SMALL, "held_out=0"])
    with open_store(str(home / "bare.lbug")) as other:
        other.load(bare)
        again = train(other, config, run="bare")
    first, second = (Artifact.load(r.folder / "artifact") for r in (report, again))
    for stage in ("encode", "mixture", "contrast", "refine"):
        assert np.array_equal(first.points(stage), second.points(stage)), stage
        texts = ["washing and clipping dogs"]
        assert np.array_equal(first.scores(stage, texts), second.scores(stage, texts)), stage


@pytest.mark.slow
def test_a_finished_run_resumes_to_the_same_points_and_other_data_is_refused(
    home: Path, trained: tuple[GraphStore, TrainReport]
) -> None:
    store, report = trained
    before = Artifact.load(report.folder / "artifact").points().copy()
    again = train(store, run="first", resume=True)
    assert np.array_equal(Artifact.load(again.folder / "artifact").points(), before)
    with open_store(str(home / "other.lbug")) as other:
        other.load(read_taxonomy(None, "2022", None))
        with pytest.raises(ArtifactMismatchError, match="was started on"):
            train(other, run="first", resume=True)


@pytest.mark.slow
def test_nothing_is_published_on_a_graph_that_was_loaded_anew_meanwhile(home: Path) -> None:
    taxonomy = with_entries(read_taxonomy(None, "2022", None))
    fewer = dataclasses.replace(taxonomy, entries=taxonomy.entries[1:])
    with open_store(str(home / "anew.lbug")) as store:
        store.load(taxonomy)

        def load_anew(what: str, done: int, total: int) -> None:
            if (what, done) == ("contrastive learning", total):
                store.load(fewer)

        config = load_config(TrainConfig, None, [*SMALL, "contrast.epochs=1"])
        with pytest.raises(DatabaseError, match="changed since it was exported"):
            train(store, config, run="anew", progress=load_anew)
        assert store.embedding_sets() == []


def test_held_out_entries_take_the_validation_role_only_without_a_split() -> None:
    taxonomy = with_entries(read_taxonomy(None, "2022", None))
    assert with_held_out(taxonomy, 0.5, 0) is taxonomy
    plain = without_roles(taxonomy)
    held = with_held_out(plain, 0.5, 0)
    assert 0 < sum(e.evaluated for e in held.entries) < len(held.entries)
    assert with_held_out(plain, 0.5, 0) == held
    assert with_held_out(plain, 0.0, 0) is plain


def test_fewer_entries_are_the_first_of_every_code() -> None:
    taxonomy = with_entries(read_taxonomy(None, "2022", None))
    assert with_fewer_entries(taxonomy, 0) is taxonomy
    fewer = with_fewer_entries(taxonomy, 1).entries
    assert [(e.code, e.role) for e in fewer if not e.evaluated] == [
        (code, Role.EXAMPLES) for code in ("812910", "541511", "111110", "722511")
    ]
    assert [e for e in fewer if e.evaluated] == [e for e in taxonomy.entries if e.evaluated]


@pytest.mark.slow
@pytest.mark.neo4j
def test_the_same_on_neo4j(
    home: Path,  # noqa: ARG001  (its environment)
    trained: tuple[GraphStore, TrainReport],
    neo4j_store: GraphStore,
) -> None:
    """The embedded run's points, published to Neo4j by a run of its own, are the same."""
    embedded, _ = trained
    neo4j_store.load(embedded.taxonomy("2022"))
    report = train(neo4j_store, load_config(TrainConfig, None, SMALL), run=f"neo4j-{os.getpid()}")
    codes, points = neo4j_store.read_set(report.embedding_set)
    expected_codes, expected = embedded.read_set("first")
    assert codes == expected_codes
    assert np.allclose(points, expected, atol=1e-9)
    require_answers(neo4j_store, report)


@pytest.mark.slow
def test_a_backbone_that_learned_is_published_with_the_model(home: Path, tmp_path: Path) -> None:
    """What was measured in training is what the artifact, loaded anew, gives."""
    taxonomy = with_entries(read_taxonomy(None, "2022", None))
    write_tiny_model(tmp_path / "tiny")
    plain = BackboneConfig(name=str(tmp_path / "tiny"))
    tuned = [
        f"backbone.name={plain.name}",
        "contrast.finetune.mode=lora",
        "contrast.finetune.frozen_epochs=1",
        "contrast.finetune.epochs=1",
        "contrast.finetune.learning_rate=1e-2",
    ]
    with open_store(str(home / "tuned.lbug")) as store:
        store.load(taxonomy)
        report = train(store, load_config(TrainConfig, None, [*SMALL, *tuned]), run="tuned")
    artifact = Artifact.load(report.folder / "artifact")
    assert (report.folder / "artifact" / "backbone" / "model.safetensors").exists()
    assert (report.folder / "artifact" / "adapters").is_dir()
    held_out = [entry for entry in taxonomy.entries if entry.evaluated]
    leaves = [i for i, code in enumerate(artifact.codes) if len(code) == 6 and "-" not in code]
    scores = artifact.scores("contrast", [entry.text for entry in held_out])[:, leaves]
    codes = [artifact.codes[i] for i in leaves]
    ranks = [
        1 + int((row > row[codes.index(entry.code)]).sum())
        for row, entry in zip(scores, held_out, strict=True)
    ]
    measured = {stage.stage: stage.metrics for stage in report.stages}["contrast"]["mrr"]
    assert np.mean([1 / rank for rank in ranks]) == pytest.approx(measured, abs=1e-6)
    text = ["washing and clipping dogs"]
    assert not np.allclose(artifact.encode(text, "encode"), load_backbone(plain).encode(text))


@pytest.mark.slow
@pytest.mark.parametrize("accepted", [True, False])
def test_codes_say_how_far_stage_4_moves_them_accepted_or_not(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    decision = GateDecision(accepted, "as the test says", {})
    monkeypatch.setattr(pipeline, "accept_refinement", lambda *_: decision)
    write_tiny_model(tmp_path / "tiny")
    name, few = f"moved-{accepted}", ["contrast.epochs=1", "contrast.curvature=2.0"]
    config = load_config(TrainConfig, None, [*SMALL, *few, f"backbone.name={tmp_path / 'tiny'}"])
    with open_store(str(home / f"{name}.lbug")) as store:
        store.load(with_entries(read_taxonomy(None, "2022", None)))
        report = train(store, config, run=name)
        rows = store.run("q_moved_most", vintage="2022", limit=5000)
    artifact = Artifact.load(report.folder / "artifact")
    before, after = (torch.from_numpy(artifact.points(s)) for s in ("contrast", "refine"))
    assert not torch.equal(before, after), "stage 4 did nothing"
    far = lorentz.distance(before, after, 2.0).tolist()
    assert {row["code"]: row["moved"] for row in rows} == dict(
        zip(artifact.codes, far, strict=True)
    )
    assert artifact.published == ("refine" if accepted else "contrast")


def test_a_code_that_stayed_where_it_was_moved_by_zero() -> None:
    before = lorentz.expmap0(torch.randn(3, 4, dtype=torch.float64), 2.0)
    after = before.clone()
    after[1] = before[0]
    for published in (before, after):
        rows = embedding_rows(["a", "b", "c"], published, before, after, 2.0)
        far = float(lorentz.distance(before[1], before[0], 2.0))
        assert rows.moved.tolist() == [0.0, far, 0.0]
        assert np.array_equal(rows.embedding, published.numpy())
