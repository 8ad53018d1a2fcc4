"""How stage 3 is trained: one section a component, and the optimisation around them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from naics_graph.config import (
    require_above_zero,
    require_at_least_one,
    require_below_one,
    require_not_negative,
    require_weights,
)
from naics_graph.contrast.curriculum import CurriculumConfig
from naics_graph.contrast.data import SourceWeights
from naics_graph.contrast.keeping import Keep
from naics_graph.contrast.negatives import NegativesConfig
from naics_graph.contrast.space import TEMPERATURES
from naics_graph.encode.finetune import FineTuneConfig
from naics_graph.encode.lexical import LexicalConfig
from naics_graph.encode.text_map import TextMapConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Weight of each part; zero switches it off.

    query_code: a query is nearest its own code. ancestors: and at each level above nearest its
    ancestor there. code_code: a code is nearest its own ancestors. hierarchy: distances follow the
    tree. lambda_rank: the nearest of a code are its nearest in the tree, in that order. radius:
    radius follows depth. residual: residuals stay small. load_balance, router_z: of the mixture's
    router.
    """

    query_code: float = 1.0
    ancestors: float = 0.02
    code_code: float = 0.02
    hierarchy: float = 2.0
    lambda_rank: float = 0.3
    radius: float = 0.1
    residual: float = 0.0
    load_balance: float = 1.0
    router_z: float = 0.001

    def __post_init__(self) -> None:
        """Refuse negative weights, and none at all."""
        require_weights(self, "losses")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """How the parts are measured.

    ancestor_decay: an ancestor k levels up counts decay^(k - 1). query_loss: `softmax`
    (cross-entropy with smoothing) or `dcl` for query -> code; code -> code is always DCL.
    smoothing: of the labels, by `softmax` alone. radius_step: the τ of r = τ · depth.
    sampled_codes: anchors a step for the code -> code, hierarchy and rank parts, against all codes.
    rank_list: candidates an anchor ranks, its relatives at tree distance 1 and 2 and the nearest
    others. rank_width: the gap in distance that counts as clearly ordered. negatives: which codes
    may be negatives of queries and of codes. residual_dropout: chance that the parts of the tree
    (code -> code, hierarchy, rank, radius) see a code without its residual in a step, where its
    texts alone put it: what they teach the map then holds for codes never trained on. Queries
    always meet the codes as they will be.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    ancestor_decay: float = 1.0
    query_loss: Literal["softmax", "dcl"] = "softmax"
    smoothing: float = 0.05
    radius_step: float = 0.6
    sampled_codes: int = 384
    rank_list: int = 48
    rank_width: float = 0.2
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    residual_dropout: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values no objective can use."""
        require_below_one(self, "residual_dropout", "smoothing")
        require_at_least_one(self, "sampled_codes")
        require_above_zero(self, "radius_step", "rank_width")
        if not 0.0 < self.ancestor_decay <= 1.0:
            raise ValueError(f"ancestor_decay is {self.ancestor_decay}, it must be in (0, 1]")
        if self.rank_list < 2:
            raise ValueError(f"rank_list is {self.rank_list}, it must be at least 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastConfig:
    """Optimisation of stage 3.

    curvature: c > 0, the space has curvature -c. epochs, batch_size: with a frozen backbone; those
    of one that learns are in `finetune`. learning_rate: peak of one cycle, AdamW. residual_rate:
    the same for code residuals; 0 leaves them at zero. weight_decay: of matrices, at their rate; no
    bias, residual or row of the lexical table decays. warmup: share of the steps. temperature: at
    the start, in units of distance; learned. gradient_norm: a longer gradient is cut to it.
    refresh_every: steps for which the codes' channels keep the lexical vectors they were read with;
    queries are always read anew. keep: the weights of
    the `last` epoch, or of the `best` one. early_stopping: epochs in a row without a better one
    after which training ends; 0 never. validate_every: epochs between measurements, 0 for the last
    only; where `keep` or `early_stopping` judges the epochs, every one is measured. averaging:
    decay of a moving average of the weights, which is then what is measured and published; 0 is
    off. radius_limit: share of map.max_radius at which the mean radius of the codes ends the
    training.
    """

    sources: SourceWeights = field(default_factory=SourceWeights)
    lexical: LexicalConfig = field(default_factory=LexicalConfig)
    map: TextMapConfig = field(default_factory=TextMapConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    finetune: FineTuneConfig = field(default_factory=FineTuneConfig)
    curvature: float = 1.0
    epochs: int = 8
    batch_size: int = 1024
    learning_rate: float = 5e-3
    residual_rate: float = 2e-2
    weight_decay: float = 0.01
    warmup: float = 0.25
    temperature: float = 0.3
    gradient_norm: float = 5.0
    refresh_every: int = 8
    validate_every: int = 4
    keep: Keep = "last"
    early_stopping: int = 0
    averaging: float = 0.0
    radius_limit: float = 0.98

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        require_above_zero(self, "curvature", "learning_rate", "gradient_norm")
        require_at_least_one(self, "epochs", "batch_size", "refresh_every")
        require_not_negative(
            self, "residual_rate", "weight_decay", "validate_every", "early_stopping"
        )
        require_below_one(self, "averaging", "warmup")
        least, most = TEMPERATURES
        if not least <= self.temperature <= most:
            raise ValueError(
                f"temperature is {self.temperature}, it must be within {least} and {most}"
            )
        if not 0.0 < self.radius_limit <= 1.0:
            raise ValueError(f"radius_limit is {self.radius_limit}, it must be in (0, 1]")

    @property
    def judges_epochs(self) -> bool:
        """Whether the figures of an epoch decide what is kept or when training ends."""
        return self.keep == "best" or self.early_stopping > 0


def for_frozen(config: ContrastConfig) -> ContrastConfig:
    """The configuration of the first part, where the backbone is to learn in the second."""
    tune = config.finetune
    return dataclasses.replace(config, epochs=tune.frozen_epochs, batch_size=tune.batch_size)


def for_finetuning(config: ContrastConfig) -> ContrastConfig:
    """The configuration of the second part, in which the backbone learns."""
    return _after_frozen(config, config.finetune.epochs, config.finetune.head_rate)


def for_settling(config: ContrastConfig) -> ContrastConfig:
    """The configuration of the third part, in which the backbone no longer learns."""
    return _after_frozen(config, config.finetune.settle_epochs, config.finetune.settle_rate)


def _after_frozen(config: ContrastConfig, epochs: int, share: float) -> ContrastConfig:
    """A later part: its own epochs, and a share of the rates. The curriculum is over by then."""
    lexical_rate = share * config.lexical.learning_rate
    return dataclasses.replace(
        config,
        epochs=epochs,
        batch_size=config.finetune.batch_size,
        learning_rate=share * config.learning_rate,
        residual_rate=share * config.residual_rate,
        lexical=dataclasses.replace(config.lexical, learning_rate=lexical_rate),
        curriculum=dataclasses.replace(config.curriculum, enabled=False),
    )
