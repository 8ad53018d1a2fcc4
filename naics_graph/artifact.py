"""A trained model on disk: texts in, points of the published space out.

Hugging Face layout: `config.json`, `model.safetensors` (lexical encoder and its idf, text map,
residuals, graph network), `README.md`; beside them `points.safetensors` with the images of all
codes after every stage. A frozen backbone is named with its sha256, not copied; one that has
learned lies in `backbone`, as it reads questions; where each channel has learned an adapter of its
own, these lie in `adapters`, from which the backbones of the other channels are made.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from naics_graph.config import load_mapping
from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from naics_graph.encode.cache import CachedBackbone
from naics_graph.encode.channels import QUERY_CHANNEL as QUERY_CHANNEL
from naics_graph.encode.channels import TextEncoder, query_features
from naics_graph.encode.finetune import ADAPTERS, for_channel
from naics_graph.encode.lexical import LexicalConfig, LexicalVocabulary
from naics_graph.encode.reader import TextInputs, TextReader
from naics_graph.encode.text_map import TextMap, TextMapConfig
from naics_graph.encode.weights import file_sha256
from naics_graph.errors import ArtifactMismatchError, UsageError
from naics_graph.geometry import lorentz
from naics_graph.model_card import Training, model_card
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from naics_graph.runs import replacing, save_tensors, tensors_below, write_json
from naics_graph.store.contract import EmbeddingSetInfo, Progress
from naics_graph.taxonomy.model import CHANNELS, Channel

Stage = Literal["encode", "mixture", "contrast", "refine"]
STAGES: Final[tuple[Stage, ...]] = ("encode", "mixture", "contrast", "refine")
FORMAT: Final = 2
BACKBONE: Final = "backbone"

_QUESTIONS: Final = CHANNELS[QUERY_CHANNEL]


@dataclass(frozen=True, slots=True)
class ArtifactConfig:
    """What `config.json` holds. `published` is the stage whose points the database holds."""

    run: str
    vintage: str
    published: Stage
    curvature: float
    hidden_size: int
    backbone: BackboneConfig
    backbone_sha256: str
    tuned: Literal["frozen", "lora", "full"]
    lexical: LexicalConfig
    map: TextMapConfig
    refine: HGCNConfig
    codes: tuple[str, ...]
    data_sha256: str
    format: int = FORMAT


def write_artifact(
    folder: Path,
    config: ArtifactConfig,
    reader: TextReader,
    vocabulary: LexicalVocabulary,
    text_map: TextMap,
    residual: Tensor,
    network: RefineNetwork,
    points: Mapping[str, Tensor],
    training: Training,
) -> None:
    """Write all files; `config.json` comes last and marks the artifact complete.

    `training` is what the model card says beside the configuration.
    """
    tensors = {f"text_map.{name}": value for name, value in text_map.state_dict().items()}
    tensors |= {f"reader.{name}": value for name, value in reader.state_dict().items()}
    tensors["idf"] = vocabulary.idf
    tensors |= {f"refine.{name}": value for name, value in network.state_dict().items()}
    tensors["residual"] = residual
    save_tensors(folder / "model.safetensors", tensors)
    save_tensors(folder / "points.safetensors", points)
    with replacing(folder / "README.md") as temporary:
        card = model_card(config, training, file_sha256(folder / "model.safetensors"))
        temporary.write_text(card, encoding="utf-8")
    write_json(folder / "config.json", dataclasses.asdict(config))


class Artifact:
    """A loaded artifact. Encoding the first text loads the backbone, and the first of another
    channel its adapter, if it has one.
    """

    def __init__(
        self,
        folder: Path,
        config: ArtifactConfig,
        reader: TextReader,
        vocabulary: LexicalVocabulary,
        text_map: TextMap,
        network: RefineNetwork,
        points: Mapping[str, Tensor],
        cache: Path | None,
    ) -> None:
        self.folder, self.config = folder, config
        self._reader, self._vocabulary = reader.eval(), vocabulary
        self._text_map, self._network = text_map.eval(), network.eval()
        self._points = dict(points)
        self._cache = cache
        self._encoders: dict[Channel, TextEncoder] = {}
        self.model_sha256 = file_sha256(folder / "model.safetensors")

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process reads the folder: weights and backbone need not travel.
        return Artifact.load, (self.folder, self._cache)

    @classmethod
    def load(cls, folder: Path, cache: Path | None = None) -> Artifact:
        """Read an artifact; with `cache`, vectors of texts are kept in that folder.

        Raises:
            ArtifactMismatchError: missing, incomplete, of another format, or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tensors = load_file(folder / "model.safetensors")
            points = load_file(folder / "points.safetensors")
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            raise ArtifactMismatchError(
                f"the trained model cannot be read: {error}",
                where=str(folder),
                do="train again with `naics-graph train`, or activate a set whose run is here",
            ) from error
        if raw.get("format") != FORMAT:
            raise ArtifactMismatchError(
                f"the trained model has format {raw.get('format')!r}, this program reads {FORMAT}",
                where=str(folder),
                do="train again with `naics-graph train`",
            )
        config = load_mapping(ArtifactConfig, raw)
        reader = TextReader(config.lexical, config.hidden_size)
        text_map = TextMap(config.map, reader.size, reader.lexical_size)
        network = RefineNetwork(config.refine, config.map.dim, config.curvature)
        try:
            reader.load_state_dict(tensors_below("reader.", tensors))
            text_map.load_state_dict(tensors_below("text_map.", tensors))
            network.load_state_dict(tensors_below("refine.", tensors))
        except RuntimeError as error:
            raise ArtifactMismatchError(
                f"the weights do not fit the configuration: {error}",
                where=str(folder),
                do="train again with `naics-graph train`",
            ) from error
        vocabulary = LexicalVocabulary(tensors["idf"])
        return cls(folder, config, reader, vocabulary, text_map, network, points, cache)

    @classmethod
    def of_set(cls, info: EmbeddingSetInfo, runs: Path, cache: Path | None = None) -> Artifact:
        """The model an embedding set was published with, from the folder of runs.

        Raises:
            ArtifactMismatchError: it is not there, cannot be read, or is not the one published.
        """
        folder = runs / info.id / "artifact"
        artifact = cls.load(folder, cache)
        if artifact.model_sha256 != info.model_sha256:
            raise ArtifactMismatchError(
                f"the model has sha256 {artifact.model_sha256[:12]}…, the active set {info.id} "
                f"was published with {info.model_sha256[:12]}…",
                where=str(folder),
                do="train again, or activate a set whose run is here with "
                "`naics-graph sets activate ID`",
            )
        return artifact

    @property
    def curvature(self) -> float:
        """The c of a space of curvature -c."""
        return self.config.curvature

    @property
    def dims(self) -> int:
        """The d of points (d+1,)."""
        return self.config.map.dim

    @property
    def vintage(self) -> str:
        """The vintage it was trained on."""
        return self.config.vintage

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes in the order of `points`."""
        return self.config.codes

    @property
    def published(self) -> Stage:
        """The stage whose points were written to the database."""
        return self.config.published

    def points(self, stage: Stage | None = None) -> NDArray[np.float64]:
        """Images of all codes after a stage (default the published one).

        Unit vectors (n, h) after `encode` and `mixture`; Lorentz points (n, d+1) after `contrast`
        and `refine`.
        """
        result: NDArray[np.float64] = self._points[stage or self.published].double().numpy()
        return result

    def encode(
        self,
        texts: Sequence[str],
        stage: Stage | None = None,
        progress: Progress | None = None,
        *,
        channels: Sequence[Channel] | None = None,
    ) -> NDArray[np.float64]:
        """Images of texts in the space of `points(stage)`, one row each.

        Args:
            texts: to encode.
            stage: default the published one.
            progress: called while a backbone reads.
            channels: what kind of text each is, default all are questions. Each is read as in
                training: by the adapter of its channel, where there are adapters.

        Raises:
            ArtifactMismatchError: the backbone found is not the one this model was trained on, or
                an adapter is missing.
            UsageError: channels and texts differ in number.
        """
        stage = stage or self.published
        named = [_QUESTIONS] * len(texts) if channels is None else channels
        if len(named) != len(texts):
            raise UsageError(
                f"{len(named)} channels came with {len(texts)} texts",
                where="channels",
                do="name a channel for each text, or none for questions",
            )
        channel = torch.tensor([CHANNELS.index(name) for name in named], dtype=torch.int64)
        inputs = self._inputs(list(texts), channel, progress)
        if stage == "encode":
            return inputs.vectors.double().numpy()
        with torch.no_grad():
            vectors = self._reader(inputs, channel)
            image = self._text_map(*query_features(vectors, channel))
            if stage == "mixture":
                fused = torch.nn.functional.normalize(image.fused.double(), dim=1)
                return fused.numpy()
            point = lorentz.expmap0(image.tangent, self.curvature)
            if stage == "refine":
                point = self._network.refine_queries(point)
        return point.numpy()

    def scores(
        self, stage: Stage, texts: Sequence[str], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """(q, n) similarity of texts and codes: cosine, or minus the geodesic distance."""
        queries = torch.from_numpy(self.encode(texts, stage, progress))
        codes = torch.from_numpy(self.points(stage))
        return stage_scores(stage, queries, codes, self.curvature).numpy()

    def _inputs(self, texts: list[str], channel: Tensor, progress: Progress | None) -> TextInputs:
        """Texts in the channels (n,), each read by the backbone of its channel."""
        if self.config.tuned != "lora":
            return TextInputs.of(texts, self._encoder(_QUESTIONS), self._vocabulary, progress)
        vectors = torch.zeros(len(texts), self.config.hidden_size)
        for number in sorted(set(channel.tolist())):
            rows = torch.nonzero(channel == number).squeeze(1)
            read = self._encoder(CHANNELS[number]).encode([texts[i] for i in rows], progress)
            vectors[rows] = torch.from_numpy(read)
        return TextInputs(vectors, self._vocabulary.features(texts))

    def _encoder(self, channel: Channel) -> TextEncoder:
        """What reads the texts of a channel that has an adapter of its own, and questions."""
        if channel not in self._encoders:
            backbone = self._backbone
            if channel != _QUESTIONS:
                adapters = self.folder / ADAPTERS
                backbone = for_channel(backbone, _QUESTIONS, channel, adapters)
            cache = self._cache
            self._encoders[channel] = backbone if cache is None else CachedBackbone(backbone, cache)
        return self._encoders[channel]

    @functools.cached_property
    def _backbone(self) -> Backbone:
        """What reads questions."""
        named = self.config.backbone
        if self.config.tuned != "frozen":
            named = dataclasses.replace(named, name=str(self.folder / BACKBONE))
        backbone = load_backbone(named)
        if backbone.sha256 != self.config.backbone_sha256:
            raise ArtifactMismatchError(
                f"the backbone {self.config.backbone.name} has sha256 {backbone.sha256}, the "
                f"model was trained on {self.config.backbone_sha256}",
                where=str(self.folder),
                do="install the backbone it was trained on, or train again",
            )
        return backbone


def stage_scores(stage: Stage, queries: Tensor, codes: Tensor, curvature: float) -> Tensor:
    """(q, n) scores, higher is better, of images after a stage."""
    if stage in ("encode", "mixture"):
        return queries @ codes.T
    return -lorentz.pairwise_distance(queries, codes, curvature)
