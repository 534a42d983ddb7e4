"""From what a person chose to all settings of a finetuning, with the encoder that it starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from MaskWhatMattersLib.config_files import checked_settings, merged
from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.finetuning.config import FinetuneConfig, TaskName
from MaskWhatMattersLib.finetuning.presets import OF_ENCODER, preset
from MaskWhatMattersLib.finetuning.transfer import StartEncoder, differences, read_encoder
from MaskWhatMattersLib.networks.encoders import ENCODER_CONFIG
from MaskWhatMattersLib.pretraining.presets import Preset


def finetune_settings(
    task: TaskName,
    given: Mapping[str, Any],
    *,
    start_model: str | Path | None = None,
    name: Preset | None = None,
    dims: Literal[2, 3] | None = None,
) -> tuple[FinetuneConfig, StartEncoder | None]:
    """All settings: the preset, under what the start model brings along, under what was given.

    From scratch there is no knowledge to keep: layers learn alike (`layer_decay` 1) by the schedule "warmup", where
    nothing else is given.

    Args:
        task: What is learned.
        given: Fields of `FinetuneConfig`.
        start_model: Name or file; None: from scratch.
        name: Of the preset; None: "fast", unless an encoder is given or brought along.
        dims: Of the images; None: those of the encoder.

    Raises:
        InputError: Settings that are not valid; lists all.
        ModelFileError: The start model cannot be used, or the settings ask for another network.
    """
    start = read_encoder(start_model) if start_model is not None else None
    brought = {} if start is None else _brought_along(start)
    encoder = {**brought.get("encoder", {}), **given.get("encoder", {})}
    if start is not None and dims not in (None, start.config.spatial_dims):
        raise ModelFileError(
            f"The start model {start.card.name} is for {start.config.spatial_dims}D, and {dims}D is asked for. Leave "
            "that out, or choose another start model."
        )
    of_encoder: Literal[2, 3] | None = encoder.get("spatial_dims") or (2 if encoder.get("kind") == "resnet" else None)
    below: dict[str, Any] = {}
    if name is not None or not encoder:
        below = preset(name or "fast", task, dims or of_encoder, encoder.get("kind"))
    if start is not None:
        below = merged({field: value for field, value in below.items() if field not in OF_ENCODER}, brought)
    else:
        below |= {"schedule": "warmup", "layer_decay": 1.0}
    if given.get("encoder", {}).get("kind") not in (None, below.get("encoder", {}).get("kind")):
        below.pop("encoder", None)  # fields of one kind of encoder say nothing about another
    values = merged(merged(below, given), {"task": task})
    _agree_on_size(values, given)
    if start is not None:
        _refuse_another_network(start, values["encoder"])
    config = checked_settings(FinetuneConfig, values, source="finetuning settings")
    if dims not in (None, config.encoder.spatial_dims):
        raise InputError(
            f"The encoder of the settings is for {config.encoder.spatial_dims}D, and {dims}D is asked for. Leave that "
            "out, or choose other settings."
        )
    return config, start


def _refuse_another_network(start: StartEncoder, encoder: Mapping[str, Any]) -> None:
    """Say what differs, where the settings ask for another encoder than that of the start model."""
    try:
        wanted = ENCODER_CONFIG.validate_python(encoder)
    except ValidationError:
        return  # the check of all settings tells
    if differing := list(differences(start.config, wanted)):
        raise ModelFileError(
            f"The start model {start.card.name} is another network than the settings ask for: {'; '.join(differing)}. "
            "Leave these settings out, choose another start model, or start from scratch."
        )


def _brought_along(start: StartEncoder) -> dict[str, Any]:
    """Fields of the settings that are those of the start model."""
    found: dict[str, Any] = {"encoder": start.config.model_dump(mode="json")}
    for field, name in (("preprocessing", "image"), ("size", "size")):
        if name in start.card.preprocessing:
            found[field] = start.card.preprocessing[name]
    return found


def _agree_on_size(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Let the size that was given be that of a transformer's images too, and the other way round."""
    if values.get("encoder", {}).get("kind") != "vit":
        return
    if "image_size" in given.get("encoder", {}):
        values.setdefault("size", given["encoder"]["image_size"])
        if "size" not in given:
            values["size"] = given["encoder"]["image_size"]
    elif "size" in given:
        values["encoder"] = {**values["encoder"], "image_size": given["size"]}
