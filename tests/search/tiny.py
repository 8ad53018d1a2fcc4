"""A real artifact in miniature: a transformer with random weights, a text map, a graph network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]

from naics_graph.artifact import Artifact, ArtifactConfig, write_artifact
from naics_graph.encode.backbone import BackboneConfig, load_backbone
from naics_graph.encode.lexical import LexicalConfig, LexicalVocabulary
from naics_graph.encode.reader import TextReader
from naics_graph.encode.text_map import TextMap, TextMapConfig
from naics_graph.model_card import Training
from naics_graph.refine.network import HGCNConfig, RefineNetwork
from tests.search.world import DIMS, World

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "grooming", "farm", "shop", "code"]


def tiny_backbone(folder: Path) -> BackboneConfig:
    """A BERT 8 wide with a vocabulary of ten words, saved as transformers saves them."""
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(shape).save_pretrained(folder)
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    return BackboneConfig(name=str(folder))


def tiny_artifact(runs: Path, world: World) -> Artifact:
    """Write and load the artifact of the world's set below `runs`."""
    torch.manual_seed(1)
    backbone = tiny_backbone(runs / "backbone")
    shape = TextMapConfig(dim=DIMS, width=16)
    network = HGCNConfig()
    lexical = LexicalConfig(dim=4, log2_buckets=8)
    reader = TextReader(lexical, 8)
    config = ArtifactConfig(
        run=world.set_id,
        vintage=world.taxonomy.vintage,
        published="contrast",
        curvature=world.curvature,
        hidden_size=8,
        backbone=backbone,
        backbone_sha256=load_backbone(backbone).sha256,
        tuned="frozen",
        lexical=lexical,
        map=shape,
        refine=network,
        codes=tuple(world.index.codes),
        data_sha256="1" * 64,
    )
    write_artifact(
        runs / world.set_id / "artifact",
        config,
        reader,
        LexicalVocabulary.fit(["growing soybeans", "mobile dog grooming"], lexical),
        TextMap(shape, reader.size, reader.lexical_size),
        torch.zeros(len(world.points), DIMS),
        RefineNetwork(network, DIMS, world.curvature),
        {"contrast": torch.from_numpy(world.points)},
        Training(
            metrics={"mrr": 0.5}, judges=4, share=None, texts={"index": 9}, seed=0, settings={}
        ),
    )
    return Artifact.load(runs / world.set_id / "artifact")


def published_with(world: World, artifact: Artifact) -> World:
    """The world whose set says it was published by `artifact`."""
    return dataclasses.replace(world, model_sha256=artifact.model_sha256)
