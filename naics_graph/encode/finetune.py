"""The backbone in training: all of its weights, or one LoRA adapter per channel over shared ones.

What has learned is kept as the backbone that reads one channel, its adapter merged in, and beside
it all adapters, from which `for_channel` makes the backbone of any other.

LoRA after Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", through peft.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from naics_graph.config import require_above_zero, require_at_least_one, require_not_negative
from naics_graph.encode.backbone import Backbone, pooled
from naics_graph.encode.ragged import picked
from naics_graph.encode.weights import file_sha256
from naics_graph.errors import ArtifactMismatchError
from naics_graph.taxonomy.model import CHANNELS, Channel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Mode = Literal["auto", "frozen", "lora", "full"]

ADAPTERS: Final = "adapters"
"""The folder of the adapters, beside that of the backbone."""

_ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneConfig:
    """Whether the backbone learns too, after the frozen epochs of stage 3.

    mode: `frozen` (never), `lora` (one adapter per channel), `full` (every weight), `auto` (lora
    where there is a GPU, else frozen). frozen_epochs: where the backbone is to learn, in place of
    `contrast.epochs`. epochs: in which it learns, from the space the frozen ones ended with.
    learning_rate: peak of the backbone's; head_rate: of everything else, as a share of its rates in
    the frozen epochs. settle_epochs: afterwards, of everything else on the texts as the backbone
    then reads them; settle_rate: the share for these. batch_size: of all these epochs, in place of
    `contrast.batch_size`. lora_rank: of an adapter, whose scale is twice the rank. tokens: padded
    tokens that pass the backbone at a time. recompute: keep no activations of them and compute them
    again on the way back: a third slower, memory of one such batch, the same gradient. precision:
    of the backbone in training; `auto` is bfloat16 on a GPU and float32 on a CPU, where bfloat16
    takes half the time if the CPU computes in it and longer if not.
    """

    mode: Mode = "auto"
    frozen_epochs: int = 4
    epochs: int = 2
    batch_size: int = 256
    learning_rate: float = 2e-4
    head_rate: float = 0.5
    settle_epochs: int = 4
    settle_rate: float = 0.5
    lora_rank: int = 16
    tokens: int = 8192
    recompute: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        """Refuse values no training can use."""
        require_above_zero(self, "learning_rate", "head_rate", "settle_rate")
        require_at_least_one(self, "frozen_epochs", "epochs", "batch_size", "lora_rank", "tokens")
        require_not_negative(self, "settle_epochs")

    def resolved(self, device: torch.device) -> Literal["frozen", "lora", "full"]:
        """The mode on a device."""
        if self.mode == "auto":
            return "lora" if device.type == "cuda" else "frozen"
        return self.mode

    def is_half(self, device: torch.device) -> bool:
        """Whether the backbone computes in bfloat16 in training on a device."""
        if self.precision == "auto":
            return device.type == "cuda"
        return self.precision == "bfloat16"


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts in compressed rows: text i has `ids[start[i]:start[i + 1]]`, (k,)."""

    start: Tensor
    ids: Tensor

    @classmethod
    def of(cls, backbone: Backbone, texts: Sequence[str]) -> Tokens:
        """Tokenise texts once; a text without a token of its own has none here."""
        ids = backbone.tokens(texts)
        size = torch.tensor([0, *map(len, ids)])
        flat = torch.tensor([token for tokens in ids for token in tokens], dtype=torch.int64)
        return cls(size.cumsum(0), flat)

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def size(self) -> Tensor:
        """(n,) tokens of each text."""
        return self.start.diff()

    def rows(self, rows: Tensor) -> Tokens:
        """Some of the texts (m,), in that order."""
        start, at = picked(self.start, rows)
        return Tokens(start, self.ids[at])

    def padded(self, pad: int) -> tuple[Tensor, Tensor]:
        """(n, longest) ids, and which of them are tokens: (n, longest) int64 of 0 and 1."""
        size = self.size
        mask = torch.arange(int(size.max())) < size[:, None]
        ids = torch.full(mask.shape, pad, dtype=torch.int64)
        ids[mask] = self.ids
        return ids, mask.long()


class TunedBackbone(nn.Module):
    """A copy of a backbone whose weights, or adapters, learn.

    Args:
        backbone: where to start; it stays as it is. mode: what learns. config: sizes.
    """

    def __init__(
        self, backbone: Backbone, mode: Literal["lora", "full"], config: FineTuneConfig
    ) -> None:
        super().__init__()
        self.config, self.mode = config, mode
        self.name = backbone.config.name
        self.pooling = backbone.config.pooling
        self.pad = backbone.pad
        self.model: Any = copy.deepcopy(backbone.model)
        if mode == "lora":
            self.model = _with_adapters(self.model, config.lora_rank)
        # Dropout inside stays off: two epochs do not overfit, and the loss is then a function of
        # the batch alone, whatever the micro-batches.
        self.model.eval()

    def train(self, mode: bool = True) -> TunedBackbone:
        """Nothing inside depends on it."""
        self.training = mode
        return self

    def learned(self) -> dict[str, nn.Parameter]:
        """What the optimiser moves, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def forward(self, tokens: Tokens, channel: Tensor) -> Tensor:
        """Unit vectors (n, h) float32 of n texts in the channels (n,); zero without a token."""
        batches = list(self._batches(tokens.size, channel))
        vectors = [self._vectors(tokens.rows(rows), name) for rows, name in batches]
        width = int(self.model.config.hidden_size)
        result = torch.zeros(len(tokens), width, device=next(self.model.parameters()).device)
        if not batches:
            return result
        order = torch.cat([rows for rows, _ in batches]).to(result.device)
        return result.index_copy(0, order, torch.cat(vectors))

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase, channel: Channel) -> None:
        """Write the backbone that reads a channel in Hugging Face layout, its adapter merged in.

        The adapters themselves go to ADAPTERS beside the folder, in peft's layout.
        """
        model = self.model
        if self.mode == "lora":
            adapters = folder.parent / ADAPTERS
            for shape in model.peft_config.values():
                # peft notes the folder the weights came from, which is nobody's business.
                shape.base_model_name_or_path = self.name
            model.save_pretrained(adapters)
            (adapters / "README.md").unlink(missing_ok=True)
            model = copy.deepcopy(model)
            model.set_adapter(channel)
            model = model.merge_and_unload(adapter_names=[channel])
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    def _vectors(self, tokens: Tokens, channel: Channel) -> Tensor:
        ids, mask = tokens.padded(self.pad)
        if self.config.recompute and torch.is_grad_enabled():
            read: Tensor = checkpoint(self._read, ids, mask, channel, use_reentrant=False)
            return read
        return self._read(ids, mask, channel)

    def _read(self, ids: Tensor, mask: Tensor, channel: Channel) -> Tensor:
        if self.mode == "lora":
            _activate(self.model, channel)
        device = next(self.model.parameters()).device
        with self._precision(device):
            hidden = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
        return pooled(hidden.last_hidden_state, mask.to(device), self.pooling)

    @contextmanager
    def _precision(self, device: torch.device) -> Iterator[None]:
        # What is published is read in float32, so what is measured is as well.
        if not (self.config.is_half(device) and torch.is_grad_enabled()):
            yield
            return
        # The way back through the fused attention takes a CPU most of a step in bfloat16: 256 texts
        # of 16 tokens forth and back in 2.9 s of one core, by the plain formula in 0.9 s.
        plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
        with torch.autocast(device.type, dtype=torch.bfloat16), plain:
            yield

    def _batches(self, size: Tensor, channel: Tensor) -> Iterator[tuple[Tensor, Channel]]:
        """Rows with tokens, of one channel where adapters differ, in batches of similar length.

        No text is padded to more than twice its length: one description among phrases would
        otherwise cost as much as all of them.
        """
        for number, name in enumerate(CHANNELS):
            wanted = size > 0
            if self.mode == "lora":
                wanted = wanted & (channel == number)
            elif number:
                break
            rows = torch.nonzero(wanted).squeeze(1)
            rows = rows[torch.argsort(size[rows], descending=True, stable=True)]
            while len(rows):
                longest = int(size[rows[0]])
                similar = int((2 * size[rows] >= longest).sum())
                count = min(similar, max(1, self.config.tokens // longest))
                yield rows[:count], name
                rows = rows[count:]


def for_channel(merged: Backbone, into: Channel, channel: Channel, adapters: Path) -> Backbone:
    """The backbone that reads a channel, as `TunedBackbone` does but for rounding (1e-6).

    Args:
        merged: a backbone that `TunedBackbone.save` wrote; it stays as it is.
        into: the channel it reads, whose adapter is taken out.
        channel: another one, whose adapter is put in.
        adapters: the folder of all adapters.

    Raises:
        ArtifactMismatchError: an adapter is missing, damaged, or of another backbone.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    paths = [adapters / name / file for name in (channel, into) for file in _ADAPTER_FILES]
    try:
        sha256 = [merged.sha256, *map(file_sha256, paths)]
        with _quiet():
            model: Any = PeftModel.from_pretrained(
                copy.deepcopy(merged.model), adapters / channel, channel, torch_device="cpu"
            )
            model.load_adapter(adapters / into, into, torch_device="cpu")
        # Rows of both side by side: exactly the sum of what each adds to a weight.
        model.base_model.add_weighted_adapter([channel, into], [1.0, -1.0], "changed", "cat")
        model.set_adapter("changed")
        model = model.merge_and_unload(adapter_names=["changed"])
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ArtifactMismatchError(
            f"the adapter of the channel {channel} cannot be read: {error}",
            where=str(adapters),
            do="copy the whole folder of the model anew, or train again",
        ) from error
    joint = hashlib.sha256(" ".join(sha256).encode()).hexdigest()
    weights = dataclasses.replace(merged.weights, sha256=joint)
    return Backbone(merged.config, weights, model, merged.tokenizer)


def _with_adapters(model: Any, rank: int) -> Any:
    """The model with a LoRA adapter for each channel, all of them learning."""
    from peft import LoraConfig, get_peft_model

    shape = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", bias="none")
    with _quiet():
        adapted: Any = get_peft_model(model, shape, adapter_name=CHANNELS[0])
        for name in CHANNELS[1:]:
            adapted.add_adapter(name, shape)
    _activate(adapted, CHANNELS[0])
    return adapted


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5 by a name that goes with version 6.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _activate(model: Any, channel: Channel) -> None:
    """Let one adapter act; peft then stops the others from learning, which is undone."""
    model.set_adapter(channel)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(True)
