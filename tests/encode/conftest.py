"""A tiny model, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from naics_graph.encode.backbone import Backbone, BackboneConfig, load_backbone
from tests.encode.tiny import write_tiny_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Backbone:
    """A tiny backbone with small batches, so that a few texts make several."""
    return load_backbone(BackboneConfig(name=str(tiny_folder), max_tokens=24, batch_size=4))
