"""The four stages in order, the gate of the fourth, and the write-back.

Everything is read from the database that was loaded; everything learned goes to the run's folder
and, as one embedding set, back to the database.

Of several processes the first alone reads and writes. The others share the steps of stages 3 and 4,
whose data the first hands them; they wait while it encodes, measures and publishes.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from naics_graph import settings
from naics_graph.artifact import (
    BACKBONE,
    QUERY_CHANNEL,
    ArtifactConfig,
    Stage,
    write_artifact,
)
from naics_graph.config import changed_settings, dump_config, load_config, require_not_negative
from naics_graph.contrast.config import ContrastConfig
from naics_graph.contrast.data import ContrastData
from naics_graph.contrast.finetuning import train_space
from naics_graph.contrast.keeping import no_judges
from naics_graph.contrast.space import CodeSpace
from naics_graph.distributed import World
from naics_graph.encode.backbone import BackboneConfig, load_backbone
from naics_graph.encode.cache import CachedBackbone
from naics_graph.encode.channels import ChannelFeatures
from naics_graph.encode.mixture import routing_metrics
from naics_graph.encode.reader import TextInputs, TextReader
from naics_graph.encode.weights import WEIGHTS_FILE, file_sha256
from naics_graph.errors import UsageError
from naics_graph.evaluate.gates import GateDecision, accept_refinement
from naics_graph.geometry import lorentz
from naics_graph.geometry.disk import disk_layout
from naics_graph.memory import explained_shortage
from naics_graph.model_card import Training
from naics_graph.reading import with_fewer_entries, with_held_out
from naics_graph.refine.config import RefineConfig
from naics_graph.refine.graph import require_current
from naics_graph.refine.inputs import HiddenTexts, RefineInputs, refine_inputs
from naics_graph.refine.trainer import RefineResult, Without, train_refinement
from naics_graph.runs import Run, RunData
from naics_graph.stage_images import StageImages
from naics_graph.store.contract import (
    EmbeddingRows,
    EmbeddingSetInfo,
    GraphStore,
    Progress,
)
from naics_graph.taxonomy.model import CHANNELS, Taxonomy
from naics_graph.taxonomy.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything a run depends on beside the data.

    seed: of every random draw. held_out: where the load has no roles, the share of index entries
    kept from training to judge stage 4 by (0 trains on all, and stage 3 is published).
    entries_per_code: at most so many entries of a code are read, the first ones; 0 reads all.
    """

    seed: int = 0
    held_out: float = 0.05
    entries_per_code: int = 0
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        """Refuse a share outside [0, 0.5], a negative number, points that no index vector holds."""
        if not 0.0 <= self.held_out <= 0.5:
            raise ValueError(f"held_out is {self.held_out}, it must be within 0 and 0.5")
        require_not_negative(self, "entries_per_code")
        dim, most = self.contrast.map.dim, lorentz.KNN_WIDTH - 2
        if dim > most:
            raise ValueError(
                f"contrast.map.dim is {dim}, it must be at most {most}: "
                f"the vector index of the database holds no more"
            )


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage: seconds of work, whether its result stands, what was measured."""

    stage: Stage
    seconds: float
    accepted: bool
    metrics: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """A finished run and the embedding set it published."""

    run: str
    embedding_set: str
    stages: tuple[StageReport, ...]
    seconds: float
    folder: Path


def train(
    store: GraphStore | None,
    config: TrainConfig | None = None,
    *,
    vintage: str | None = None,
    run: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    world: World | None = None,
) -> TrainReport:
    """Train the four stages on a loaded vintage and publish the result as the active set.

    Args:
        store: a writable store with a loaded vintage; None in every process but the first.
        config: the run's settings; with `resume` they are the run's own and this is not read.
        vintage: default the newest loaded, of a resumed run its own.
        run: name of the run and of the embedding set; default made from vintage and time.
        resume: continue the run `run` from its last checkpoint.
        progress: called as (what, done, total).
        world: the processes that share the steps of stages 3 and 4, each of which calls this.

    Returns:
        The report, the same in every process.

    Raises:
        ConfigError: epochs are to be judged (`contrast.keep`, `contrast.early_stopping`) and there
            is nothing to judge them by.
        DatabaseError: nothing is loaded, the graph was loaded anew meanwhile, or the set cannot be
            published.
        ArtifactMismatchError: the run to resume was started on other data, or cannot be read.
        DivergedError: a loss became NaN or infinite; the last checkpoint is kept.
        OutOfMemoryError: the memory was not enough; the last checkpoint is kept.
        PeerLostError: another process ended.
    """
    world = world or World()
    with explained_shortage("train"):
        if store is None:
            return _share_steps(world)
        return _train(store, config, vintage, run, resume, progress, world)


def _share_steps(world: World) -> TrainReport:
    """What every process but the first does: its share of stages 3 and 4."""
    if world.is_main:
        raise UsageError("there is no store", where="train", do="give the first process one")
    config: TrainConfig
    data: ContrastData
    config, data = world.broadcast()
    load = functools.partial(load_backbone, config.backbone)
    space = train_space(config.contrast, data, None, config.seed, load, world=world).space
    inputs: RefineInputs
    hidden: HiddenTexts | None
    inputs, hidden = world.broadcast()
    without = _without(hidden, space)
    train_refinement(
        inputs, config.refine, run=None, seed=config.seed, without=without, world=world
    )
    report: TrainReport = world.broadcast()
    return report


def _train(
    store: GraphStore,
    config: TrainConfig | None,
    vintage: str | None,
    run: str | None,
    resume: bool,
    progress: Progress | None,
    world: World,
) -> TrainReport:
    started = time.perf_counter()
    opened = _resumed(run) if resume else None
    if opened is not None:
        vintage = vintage or opened.data().vintage
    taxonomy = store.taxonomy(vintage)
    data = RunData(taxonomy.vintage, store.graph_version(taxonomy.vintage))
    if opened is not None:
        opened.require_data(data)
        config = load_config(TrainConfig, opened.config_file)
    else:
        config = config or TrainConfig()
        name = run or f"naics-{taxonomy.vintage}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        opened = Run.create(settings.runs_dir() / name, dump_config(config), data)
    try:
        stages = _Stages(store, taxonomy, config, opened, progress, world).run()
    finally:
        opened.close()
    report = TrainReport(
        run=opened.id,
        embedding_set=opened.id,
        stages=stages,
        seconds=time.perf_counter() - started,
        folder=opened.folder,
    )
    return world.broadcast(report)


def _resumed(run: str | None) -> Run:
    if run is None:
        raise UsageError("no run to resume was named", where="--resume", do="give the run's name")
    return Run.resume(settings.runs_dir() / run)


class _Stages:
    """The state the four stages hand on."""

    def __init__(
        self,
        store: GraphStore,
        taxonomy: Taxonomy,
        config: TrainConfig,
        run: Run,
        progress: Progress | None,
        world: World,
    ) -> None:
        self.store, self.config, self.opened, self.progress = store, config, run, progress
        self.world = world
        self.has_roles = any(entry.evaluated for entry in taxonomy.entries)
        read = with_fewer_entries(taxonomy, config.entries_per_code)
        self.taxonomy = with_held_out(read, config.held_out, config.seed)
        self.judges = [e for e in self.taxonomy.entries if e.evaluated]
        if config.contrast.judges_epochs and not self.judges:
            raise no_judges()
        self.export = store.export_graph(taxonomy.vintage)
        truth = [entry.code for entry in self.judges]
        self.images = StageImages(Tree.of(taxonomy), truth, config.contrast.curvature)

    def run(self) -> tuple[StageReport, ...]:
        encode = self.world.alone(self._encode)
        self.world.broadcast((self.config, self.data))
        contrast, mixture = self._contrast()
        refine = self._refine()
        published: Stage = "refine" if refine.accepted else "contrast"
        stages = (encode, mixture, contrast, refine)
        self._publish(published, next(s for s in stages if s.stage == published).metrics)
        return stages

    def _encode(self) -> StageReport:
        started = time.perf_counter()
        self.backbone = load_backbone(self.config.backbone)
        encoder = CachedBackbone(self.backbone, settings.vectors_dir())
        lexical = self.config.contrast.lexical
        data = ContrastData.of(self.taxonomy, encoder, lexical, self.progress)
        self.data = data.weighted(self.config.contrast.sources)
        texts = [entry.text for entry in self.judges]
        self.held_out = TextInputs.of(texts, encoder, self.data.vocabulary)
        self._image_texts()
        metrics = self.images.measure("encode", tree=False)
        if self._mode() != "frozen":
            self.data = self.data.with_tokens(self.backbone)
            self.held_out = self.held_out.with_tokens(self.backbone, texts)
        seconds = time.perf_counter() - started
        return StageReport("encode", seconds, True, metrics, _judged_by(self.taxonomy))

    def _mode(self) -> Literal["frozen", "lora", "full"]:
        return self.config.contrast.finetune.resolved(self.world.device)

    def _image_texts(self) -> None:
        """Images of codes and held-out texts after stage 1."""
        read = ChannelFeatures(self.data.texts, self.data.channel_inputs.vectors)
        self.images.put("encode", read.pooled().double(), self.held_out.vectors.double())

    def _contrast(self) -> tuple[StageReport, StageReport]:
        started = time.perf_counter()
        trained = train_space(
            self.config.contrast,
            self.data,
            self.opened,
            self.config.seed,
            lambda: self.backbone,
            validate=self._validate,
            freeze=self._freeze,
            world=self.world,
            progress=self.progress,
        )
        self.space, self.tuned = trained.space, trained.tuned
        with torch.no_grad():
            routing = self._image(self.space, self.data.channels(self.space.reader))
        seconds = time.perf_counter() - started
        labels = torch.from_numpy(self.images.tree.ancestors[:, 0])
        mixture = {
            **self.images.measure("mixture", tree=False),
            **routing_metrics(routing, labels, self.config.contrast.map.mixture.top_k),
        }
        return (
            # The trainer measures after its last epoch.
            StageReport("contrast", seconds, True, trained.measured),
            # Experts, router and map learn together: their time is stage 3's.
            StageReport("mixture", 0.0, True, mixture, "trained within stage 3"),
        )

    def _freeze(self, reader: TextReader) -> ContrastData:
        """Read all texts with the backbone that has learned, and go on as with a frozen one."""
        channel = torch.full((len(self.held_out),), QUERY_CHANNEL)
        self.data = self.data.frozen(reader)
        self.held_out = reader.frozen(self.held_out, channel)
        self._image_texts()
        return self.data

    def _image(self, space: CodeSpace, channels: ChannelFeatures) -> Tensor:
        """Images of codes and held-out texts after stages 2 and 3; returns the codes' routing."""
        codes = space.codes(*channels.full())
        queries = space.queries(self.held_out, torch.full((len(self.held_out),), QUERY_CHANNEL))
        fused, tangent = (
            (codes.text.fused, queries.fused),
            (codes.tangent, queries.tangent),
        )
        mixed = (torch.nn.functional.normalize(one.double(), dim=1).cpu() for one in fused)
        self.images.put("mixture", *mixed)
        placed = (lorentz.expmap0(one, space.curvature).cpu() for one in tangent)
        self.images.put("contrast", *placed)
        return codes.text.routing.cpu()

    def _validate(self, space: CodeSpace) -> dict[str, float]:
        self._image(space, self.data.channels(space.reader))
        return self.images.measure("contrast", tree=True)

    def _refine(self) -> StageReport:
        started = time.perf_counter()
        inputs, hidden = self.world.alone(
            lambda: refine_inputs(self.space, self.data, self.export, self.images.codes["contrast"])
        )
        self.world.broadcast((inputs, hidden))
        trained = train_refinement(
            inputs,
            self.config.refine,
            run=self.opened,
            seed=self.config.seed,
            store=self.store,
            without=_without(hidden, self.space),
            validate=self._validate_refined,
            progress=self.progress,
            world=self.world,
        )
        decision, metrics = self.world.alone(lambda: self._judge(trained))
        return StageReport(
            "refine", time.perf_counter() - started, decision.accepted, metrics, decision.reason
        )

    def _validate_refined(
        self, codes: Tensor, refine_queries: Callable[[Tensor], Tensor]
    ) -> dict[str, float]:
        self._image_refined(codes, refine_queries)
        return self.images.measure("refine", tree=True)

    @torch.no_grad()
    def _image_refined(self, codes: Tensor, refine_queries: Callable[[Tensor], Tensor]) -> None:
        """Images of codes and held-out texts after stage 4."""
        self.images.put("refine", codes, refine_queries(self.images.queries["contrast"]))

    def _judge(self, trained: RefineResult) -> tuple[GateDecision, dict[str, float]]:
        """Whether stage 4 stands, and its figures, which the trainer measured last."""
        self.network = trained.network
        self._image_refined(trained.code_points, trained.network.refine_queries)
        decision = accept_refinement(
            self.images.evidence("contrast"), self.images.evidence("refine")
        )
        return decision, {**trained.measured, **decision.numbers}

    def _publish(self, published: Stage, metrics: Mapping[str, float]) -> None:
        require_current(self.export, self.store)
        contrast = self.config.contrast
        points = self.images.codes[published]
        codes = self.images.tree.codes
        data = self.store.graph_version(self.taxonomy.vintage)
        config = ArtifactConfig(
            run=self.opened.id,
            vintage=self.taxonomy.vintage,
            published=published,
            curvature=contrast.curvature,
            hidden_size=self.data.hidden_size,
            backbone=self.config.backbone,
            backbone_sha256=self._published_backbone(),
            tuned=self._mode(),
            lexical=contrast.lexical,
            map=contrast.map,
            refine=self.config.refine.network,
            codes=codes,
            data_sha256=data,
        )
        training = Training(
            metrics=metrics,
            judges=len(self.judges),
            share=None if self.has_roles else self.config.held_out,
            texts=Counter(text.source for text in self.data.labelled),
            seed=self.config.seed,
            settings=changed_settings(self.config),
        )
        residual = self.space.known_residual()
        write_artifact(
            self.opened.artifact,
            config,
            self.space.reader,
            self.data.vocabulary,
            self.space.text_map,
            residual,
            self.network,
            {str(stage): points for stage, points in self.images.codes.items()},
            training,
        )
        info = EmbeddingSetInfo(
            id=self.opened.id,
            vintage=self.taxonomy.vintage,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            dims=contrast.map.dim,
            curvature=contrast.curvature,
            model_sha256=file_sha256(self.opened.artifact / "model.safetensors"),
            data_sha256=data,
            metrics=dict(metrics),
        )
        if any(known.id == info.id for known in self.store.embedding_sets()):
            # A run resumed after its write-back: the same weights gave the same points.
            self.store.activate_set(info.id)
        else:
            before, refined = self.images.codes["contrast"], self.images.codes["refine"]
            rows = embedding_rows(codes, points, before, refined, contrast.curvature)
            self.store.publish(info, rows)

    def _published_backbone(self) -> str:
        """Weights that read questions, by sha256; learned ones are written to the artifact."""
        if self.tuned is None:
            return self.backbone.sha256
        folder = self.opened.artifact / BACKBONE
        self.tuned.save(folder, self.backbone.tokenizer, CHANNELS[QUERY_CHANNEL])
        return file_sha256(folder / WEIGHTS_FILE)


def _judged_by(taxonomy: Taxonomy) -> str:
    """How many texts judge a training, and how many others are left out, as they repeat one."""
    judges = sum(entry.evaluated for entry in taxonomy.entries)
    left_out = ", ".join(f"{n} {source}" for source, n in taxonomy.left_out.items())
    said = f"{judges:,} held-out texts to judge by"
    return f"{said}; left out, (nearly) equal to an evaluated one: {left_out}" if left_out else said


def _without(hidden: HiddenTexts | None, space: CodeSpace) -> Without | None:
    """The codes without the texts asked, as this process's copy of stage 3's space gives them."""
    return None if hidden is None else functools.partial(hidden.codes, space)


def embedding_rows(
    codes: Sequence[str], points: Tensor, before: Tensor, refined: Tensor, curvature: float
) -> EmbeddingRows:
    """What is written to the database for (n, d+1) points; before, refined: after stages 3 and 4.

    `moved` is the same whichever of the two is published.
    """
    # The distance of equal points is about 1e-30, never 0.
    stayed = (refined == before).all(dim=1)
    moved = lorentz.distance(before, refined, curvature).masked_fill(stayed, 0.0)
    return EmbeddingRows(
        codes=codes,
        embedding=points.numpy(),
        radius=lorentz.radius(points, curvature).numpy(),
        poincare=disk_layout(points, curvature).numpy(),
        knn=lorentz.knn_vectors(points).numpy(),
        moved=moved.numpy(),
    )
