"""The models that a finetuning can start from: encoders that were pretrained, and models that were finetuned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MaskWhatMattersLib.models import ModelCard

FROM_SCRATCH = ""
_ENCODER = "encoder"


@dataclass(frozen=True)
class StartModel:
    """One model as the list shows it.

    Attributes:
        name: What the job takes.
        title: One line: name, version, what it is.
        description: What it learned from and its licence; a few lines.
        dims: 2 for pictures and slices, 3 for volumes.
        kind: Of encoder, such as "vit".
        needs_acknowledgement: Whether its weights are for research only.
        path: The .safetensors file.
    """

    name: str
    title: str
    description: str
    dims: int
    kind: str
    needs_acknowledgement: bool
    path: Path


def start_models() -> list[StartModel]:
    """Models with an encoder on this computer; none while the packages to read them are missing."""
    try:
        from MaskWhatMattersLib.errors import ModelFileError
        from MaskWhatMattersLib.models import list_models, read_card
    except ImportError:
        return []
    models = []
    for entry in list_models():
        if entry.path is None:
            continue
        try:
            card = read_card(entry.path)
        except ModelFileError:
            continue  # Check setup tells about broken cards
        encoder = _encoder_of(card)
        if encoder is not None:
            models.append(_describe(entry.name, entry.path, card, encoder))
    return models


def fits(model: StartModel, task: str) -> bool:
    """Whether a task can start from a model: objects are found in pictures, with feature maps of several sizes."""
    return task != "detection" or (model.dims == 2 and model.kind != "vit")


def _encoder_of(card: ModelCard) -> dict[str, Any] | None:
    """Settings of the encoder in a model; None for a model of another kind."""
    config = card.config if card.architecture == _ENCODER else card.config.get("encoder")
    return config if isinstance(config, dict) and "kind" in config else None


def _describe(name: str, path: Path, card: ModelCard, encoder: dict[str, Any]) -> StartModel:
    dims = 2 if encoder.get("spatial_dims", 3) == 2 else 3
    what = _("encoder") if card.architecture == _ENCODER else ", ".join(label.name for label in card.labels[:3])
    images = _("pictures") if dims == 2 else _("volumes")
    title = _("{name} {version} ({what}, {images})").format(
        name=name, version=card.version, what=what or card.architecture, images=images
    )
    trained = ", ".join(
        _("{name} ({cases} images)").format(name=data.name, cases=data.cases) if data.cases else data.name
        for data in card.training_data
    )
    parts = [card.description] if card.description else []
    parts += [_("Trained on {data}.").format(data=trained)] if trained else []
    parts.append(_("Licence: {licence}.").format(licence=card.licence.rstrip(".")))
    return StartModel(name, title, " ".join(parts), dims, str(encoder["kind"]), card.research_only, path)
