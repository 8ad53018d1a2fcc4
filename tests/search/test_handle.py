"""The library's verbs on the embedded database, from text to answer with a real small model."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import naics_graph
from naics_graph.artifact import BACKBONE, Artifact
from naics_graph.encode.backbone import load_backbone
from naics_graph.encode.finetune import FineTuneConfig, Tokens, TunedBackbone
from naics_graph.encode.weights import file_sha256
from naics_graph.errors import ArtifactMismatchError, DatabaseError, UsageError
from naics_graph.geometry import lorentz
from naics_graph.handle import Handle
from naics_graph.runs import write_json
from naics_graph.store.open import open_store
from naics_graph.taxonomy.model import CHANNELS
from tests.search.conftest import fill
from tests.search.tiny import published_with, tiny_artifact
from tests.search.world import CODE, DIMS, World


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAICS_GRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NEO4J_URI", raising=False)
    return tmp_path / "home"


@pytest.fixture
def artifact(home: Path, world: World) -> Artifact:
    return tiny_artifact(home / "data" / "runs", world)


@pytest.fixture
def database(tmp_path: Path, world: World, artifact: Artifact) -> str:
    """A file whose active set was published by the artifact."""
    path = str(tmp_path / "trained.lbug")
    with open_store(path) as store:
        fill(store, {"2022": published_with(world, artifact)})
    return path


def test_a_text_is_answered_with_the_codes_nearest_its_point(
    database: str, artifact: Artifact, world: World
) -> None:
    text = "dog grooming shop"
    point = torch.from_numpy(artifact.encode([text]))
    distance = lorentz.pairwise_distance(point, torch.from_numpy(world.points), world.curvature)[0]
    wanted = sorted(
        (d, code)
        for d, code in zip(distance.tolist(), world.index.codes, strict=True)
        if len(code) == 6
    )[:10]
    with naics_graph.connect(database) as handle:
        found = handle.search(f"  {text}\n")
    assert (found.query, found.vintage, found.embedding_set) == (text, "2022", world.set_id)
    assert [hit.code for hit in found.results] == [code for _, code in wanted]
    for hit, (d, _) in zip(found.results, wanted, strict=True):
        assert hit.distance == pytest.approx(d, abs=1e-9)
        assert hit.why


def test_texts_are_encoded_onto_the_sheet(database: str, world: World) -> None:
    with naics_graph.connect(database) as handle:
        points = handle.encode(["dog", "farm code", "zzz"])
    assert points.shape == (3, DIMS + 1)
    assert points.dtype == np.float64
    error = lorentz.sheet_error(torch.from_numpy(points), world.curvature)
    assert float(error.max()) <= 1e-9


def test_another_model_than_the_published_one_is_refused(
    tmp_path: Path, world: World, artifact: Artifact
) -> None:
    path = str(tmp_path / "other.lbug")
    with open_store(path) as store:
        fill(store, {"2022": dataclasses.replace(world, model_sha256="f" * 64)})
    with naics_graph.connect(path) as handle, pytest.raises(ArtifactMismatchError) as caught:
        handle.search("dog")
    assert artifact.model_sha256[:12] in str(caught.value)
    assert "sets activate" in str(caught.value)


def test_a_damaged_model_is_refused(database: str, artifact: Artifact) -> None:
    (artifact.folder / "model.safetensors").write_bytes(b"not tensors")
    with naics_graph.connect(database) as handle, pytest.raises(ArtifactMismatchError):
        handle.search("dog")


def test_info_is_what_was_loaded_and_published(database: str, world: World) -> None:
    with naics_graph.connect(database) as handle:
        info = handle.info()
    assert info.database == database
    assert info.vintages == ("2022",)
    assert info.counts["Industry"] == len(world.index.codes)
    assert [(one.id, one.status) for one in info.embedding_sets] == [(world.set_id, "active")]
    assert info.migrations


def test_a_handle_reads_until_a_verb_writes_and_then_reads_the_written(
    database: str, world: World
) -> None:
    with naics_graph.connect(database) as handle:
        assert handle.similar(CODE).embedding_set == world.set_id
        other = dataclasses.replace(world, points=np.roll(world.points, 1, axis=0), set_id="other")
        handle.writable_store.publish(other.info, other.rows, activate=False)
        assert handle.similar(CODE).embedding_set == world.set_id
        handle.activate_set("other")
        assert handle.similar(CODE).embedding_set == "other"
        handle.delete_set(world.set_id)
        assert [one.id for one in handle.store.embedding_sets()] == ["other"]


def test_a_closed_handle_opens_again(database: str) -> None:
    handle = naics_graph.connect(database)
    first = handle.similar(CODE)
    handle.close()
    handle.close()
    assert handle.similar(CODE) == first
    handle.close()


def test_the_bundled_edition_loads_dry_and_for_good(home: Path) -> None:
    with naics_graph.connect() as handle:
        dry = handle.load(vintage="2017", dry_run=True)
        assert dry.dry_run
        assert dry.created > 0
        assert handle.store.vintages() == []
        wet = handle.load(vintage="2017")
        assert (wet.created, wet.codes) == (dry.created, dry.codes)
        assert handle.info().vintages == ("2017",)
    assert home.is_dir()


def test_a_database_that_is_not_there_says_so_at_the_first_verb(tmp_path: Path) -> None:
    handle = Handle(str(tmp_path / "absent.lbug"))
    with pytest.raises(DatabaseError, match=r"absent\.lbug"):
        handle.info()


def test_a_text_is_read_in_the_channel_it_is_said_to_be_of(artifact: Artifact) -> None:
    """A question is read as an example is; each text of a batch goes its own way."""
    text = "dog grooming shop"
    plain = artifact.encode([text], "contrast")[0]
    mixed = artifact.encode([text, text], "contrast", channels=["title", "examples"])
    assert np.allclose(mixed[1], plain, atol=1e-9)
    assert not np.allclose(mixed[0], plain, atol=1e-3)
    title = artifact.encode([text], "contrast", channels=["title"])[0]
    assert np.allclose(mixed[0], title, atol=1e-9)


def tuned(artifact: Artifact) -> tuple[Artifact, TunedBackbone]:
    """The artifact as a training leaves it in which each channel learned an adapter of its own."""
    plain = load_backbone(artifact.config.backbone)
    backbone = TunedBackbone(plain, "lora", FineTuneConfig(lora_rank=2))
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in backbone.learned().values():
            parameter.add_(0.2 * torch.randn_like(parameter))
    folder = artifact.folder / BACKBONE
    backbone.save(folder, plain.tokenizer, "examples")
    sha256 = file_sha256(folder / "model.safetensors")
    config = dataclasses.replace(artifact.config, tuned="lora", backbone_sha256=sha256)
    write_json(artifact.folder / "config.json", dataclasses.asdict(config))
    return Artifact.load(artifact.folder), backbone


def test_each_channel_of_a_model_with_adapters_is_read_by_its_own(
    artifact: Artifact, tmp_path: Path
) -> None:
    """As in training, kept vectors or not, alone or among others."""
    model, backbone = tuned(artifact)
    texts = ["dog grooming shop", "farm code", ""] * len(CHANNELS)
    channels = [name for name in CHANNELS for _ in range(3)]
    tokens = Tokens.of(load_backbone(artifact.config.backbone), texts)
    expected = backbone(tokens, torch.tensor([CHANNELS.index(c) for c in channels]))
    read = expected.detach().double().numpy()
    kept = Artifact.load(model.folder, tmp_path / "vectors")
    for one in (model, kept, kept):
        found = one.encode(texts, "encode", channels=channels)
        assert np.allclose(found, read, rtol=0, atol=1e-6)
    assert np.array_equal(
        model.encode(texts, "encode")[6:9],
        model.encode(texts[6:9], "encode", channels=channels[6:9]),
    )
    assert abs(read[0] - read[3]).max() > 1e-2
    points = model.encode(texts, "contrast", channels=channels)
    for i, (text, channel) in enumerate(zip(texts, channels, strict=True)):
        alone = model.encode([text], "contrast", channels=[channel])[0]
        assert np.allclose(points[i], alone, rtol=0, atol=1e-6)


def test_without_its_adapters_a_model_still_answers_questions_and_refuses_the_rest(
    artifact: Artifact,
) -> None:
    model, _ = tuned(artifact)
    before = model.encode(["dog grooming shop"])
    shutil.rmtree(model.folder / "adapters")
    again = Artifact.load(model.folder)
    assert np.array_equal(again.encode(["dog grooming shop"]), before)
    with pytest.raises(ArtifactMismatchError, match="adapter of the channel title"):
        again.encode(["dog", "dog"], channels=["examples", "title"])


def test_every_text_has_a_channel_or_none_has(artifact: Artifact) -> None:
    with pytest.raises(UsageError, match="1 channels came with 2 texts"):
        artifact.encode(["dog", "farm"], channels=["title"])


def test_a_pickled_model_is_its_folder(artifact: Artifact, tmp_path: Path) -> None:
    """Workers get a path, not weights; the copy reads them and encodes the same."""
    texts = ["dog grooming shop", "farm"]
    for cache in (None, tmp_path / "vectors"):
        model = Artifact.load(artifact.folder, cache)
        points = model.encode(texts)
        packed = pickle.dumps(model.encode)
        assert len(packed) < 1000
        assert np.array_equal(pickle.loads(packed)(texts), points)
