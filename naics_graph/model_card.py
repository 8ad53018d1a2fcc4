"""The card of a trained model: what it is, how good it is and on what that was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naics_graph.taxonomy.model import level_of

if TYPE_CHECKING:
    from naics_graph.artifact import ArtifactConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a model came to be.

    metrics: figures of the published stage. judges: how many held-out texts those of texts are
    measured on; share: of the index entries they are, drawn by the seed, or None where they are the
    entries of the validation role. texts: labelled texts trained on, by source. settings: those
    that are not the defaults, by dotted key.
    """

    metrics: Mapping[str, float]
    judges: int
    share: float | None
    texts: Mapping[str, int]
    seed: int
    settings: Mapping[str, Any]


def model_card(config: ArtifactConfig, training: Training, model_sha256: str) -> str:
    """The card in the Markdown of the Hugging Face hub: YAML between two lines of `---`, then text.

    Args:
        config: of the artifact.
        training: what it does not say.
        model_sha256: of the artifact's `model.safetensors`.
    """
    header = {"library_name": "naics-graph", "tags": ["naics", "hyperbolic"]}
    base = config.backbone.name
    # The hub takes names of its repositories alone.
    if not Path(base).expanduser().is_dir():
        header["base_model"] = base
    texts = sorted(training.texts.items(), key=lambda item: (-item[1], item[0]))
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in header.items()),
        "---",
        "",
        f"# {config.run}",
        "",
        f"NAICS {config.vintage} in the Lorentz model, d = {config.map.dim}, curvature "
        f"-{config.curvature}; stage published: {config.published}.",
        "",
        "Load it with `naics_graph.artifact.Artifact.load(folder)`; `encode(texts)` gives Lorentz",
        "points, time first, and `points()` those of all codes, in the order of `codes`.",
        "",
        "## Figures",
        "",
        *_measured_on(config, training),
        "",
        "| figure | |",
        "|---|---|",
        *(f"| {name} | {value:.4f} |" for name, value in training.metrics.items()),
        "",
        "## Training",
        "",
        f"{sum(training.texts.values()):,} labelled texts, seed {training.seed}.",
        "",
        "| source | texts |",
        "|---|---|",
        *(f"| {source} | {count:,} |" for source, count in texts),
        "",
        *_settings(training.settings),
        "",
        "## Made of",
        "",
        "| | sha256 |",
        "|---|---|",
        f"| `model.safetensors` | {model_sha256} |",
        f"| backbone {base} ({config.tuned}) | {config.backbone_sha256} |",
        f"| loaded graph | {config.data_sha256} |",
        "",
    ]
    return "\n".join(lines)


def _measured_on(config: ArtifactConfig, training: Training) -> Iterator[str]:
    candidates = sum(level_of(code) == 6 for code in config.codes)
    if not training.judges:
        yield "No text was held out: nothing is measured on texts."
    else:
        which = "the entries of the validation role"
        if training.share is not None:
            which = f"a share of {training.share:g} of the index entries, drawn by the seed"
        yield f"Of texts: on {training.judges:,} held-out ones, {which},"
        yield f"among the {candidates:,} six-digit codes."
    yield f"Of the tree: on all {len(config.codes):,} codes. A `change` is from stage 3 to stage 4."


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    if not settings:
        yield "All settings are the defaults."
        return
    yield "The settings that are not the defaults:"
    yield ""
    for key, value in settings.items():
        yield f"    {key}={json.dumps(value)}"
