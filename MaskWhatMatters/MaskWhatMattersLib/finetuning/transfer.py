"""Weights of a pretrained encoder into a new one: all that fits is told, and what does not fit is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from torch import Tensor, nn

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.models import ModelCard, load_into, read_model
from MaskWhatMattersLib.networks.encoders import ARCHITECTURE, ENCODER_CONFIG, EncoderConfig, ViTConfig
from MaskWhatMattersLib.networks.transformer import interpolate_positions

_PREFIX = "encoder."
_POSITIONS = "positions"
_MAY_DIFFER = ("image_size", "in_channels", "drop_path")
"""Fields of an encoder's settings with which the same weights can be used."""


class StartEncoder(NamedTuple):
    """The encoder of a model file.

    Attributes:
        config: What it is made of.
        weights: By the names that they have in the encoder.
        card: Of the whole model.
    """

    config: EncoderConfig
    weights: dict[str, Tensor]
    card: ModelCard


@dataclass(frozen=True)
class TransferReport:
    """What became of every tensor of a start model.

    Attributes:
        source: The start model.
        matched: Names of tensors taken as they are.
        interpolated: Position embeddings brought to another grid.
        repeated: Weights of one input channel, shared out among several.
        missing: What the model does not hold and the encoder needs; empty, else the transfer is refused.
        unexpected: What the model holds and the encoder does not need; empty, else the transfer is refused.
    """

    source: str
    matched: tuple[str, ...]
    interpolated: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line for the log."""
        changed = [
            f"{len(names)} {how} ({', '.join(names)})"
            for how, names in (("interpolated", self.interpolated), ("repeated", self.repeated))
            if names
        ]
        counts = [f"{len(self.matched)} tensors matched", *changed]
        counts += [f"{len(self.missing)} missing", f"{len(self.unexpected)} unexpected"]
        return f"Encoder of {self.source}: {', '.join(counts)}."


def read_encoder(model: str | Path) -> StartEncoder:
    """The encoder of a pretrained or finetuned model.

    Args:
        model: A name that `find_model` knows, or a .safetensors file.

    Raises:
        ModelFileError: Not found, damaged, or a model without an encoder of ours.
    """
    weights, card = read_model(model)
    if card.architecture == ARCHITECTURE:
        config: Any = card.config
    else:
        config = card.config.get("encoder")
        weights = {name.removeprefix(_PREFIX): value for name, value in weights.items() if name.startswith(_PREFIX)}
    if not isinstance(config, dict) or not weights:
        raise ModelFileError(
            f"The model {model} is made for another network: an encoder is wanted, found {card.architecture}. Choose a "
            "model that `whatmatters pretrain` or `whatmatters finetune` made."
        )
    try:
        return StartEncoder(ENCODER_CONFIG.validate_python(config), weights, card)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)
        )
        raise ModelFileError(
            f"The card of the model {model} does not describe an encoder that can be built: {wrong}. Use a newer "
            "version of the extension if the model is newer, or another model."
        ) from error


def transfer(
    encoder: nn.Module, weights: Mapping[str, Tensor], source: str, *, config: EncoderConfig | None = None
) -> TransferReport:
    """Copy weights into an encoder, all of them or none.

    Learned position embeddings are interpolated linearly to another grid; the weights of a single input channel are
    shared out among several, so that equal channels give what the one gave.

    Args:
        encoder: Has `config`; unchanged after an error.
        weights: By the encoder's names.
        source: Name of the model for messages.
        config: Settings of the encoder that the weights are from; None: those of `encoder`.

    Raises:
        ModelFileError: The weights are from another network; lists every setting or tensor that differs.
    """
    wanted: Any = encoder.config
    found = config if config is not None else wanted
    if differing := list(differences(found, wanted)):
        raise ModelFileError(
            f"The start model {source} is another network than the settings ask for: {'; '.join(differing)}. Leave "
            "these settings out, choose another start model, or start from scratch."
        )
    fitting, interpolated, repeated = dict(weights), [], []
    if _POSITIONS in weights and isinstance(found, ViTConfig) and found.grid != wanted.grid:
        fitting[_POSITIONS] = interpolate_positions(weights[_POSITIONS].float(), found.grid, wanted.grid)
        interpolated.append(_POSITIONS)
    for name, own in encoder.state_dict().items():
        if name in fitting and _has_more_channels(own, fitting[name], wanted.in_channels):
            share = fitting[name].float() / wanted.in_channels
            fitting[name] = share.repeat_interleave(wanted.in_channels, dim=1)
            repeated.append(name)
    load_into(encoder, fitting, source=source)
    matched = [name for name in fitting if name not in (*interpolated, *repeated)]
    return TransferReport(source, tuple(matched), tuple(interpolated), tuple(repeated))


def differences(found: EncoderConfig, wanted: EncoderConfig) -> Iterator[str]:
    """Every setting that makes the weights of one encoder useless to the other, in words."""
    if found.kind != wanted.kind:
        yield f"it is a {found.kind}, wanted {wanted.kind}"
        return
    if found.in_channels != wanted.in_channels and found.in_channels != 1:
        yield f"in_channels is {found.in_channels}, wanted {wanted.in_channels}"
    theirs, ours = found.model_dump(mode="json"), wanted.model_dump(mode="json")
    for name, value in theirs.items():
        if name not in _MAY_DIFFER and value != ours[name]:
            yield f"{name} is {value}, wanted {ours[name]}"


def _has_more_channels(own: Tensor, given: Tensor, channels: int) -> bool:
    """Whether a tensor takes several input channels where the given one takes one."""
    if channels == 1 or own.ndim < 2 or own.ndim != given.ndim:
        return False
    return (
        own.shape[1] == channels * given.shape[1] and own.shape[:1] + own.shape[2:] == given.shape[:1] + given.shape[2:]
    )
