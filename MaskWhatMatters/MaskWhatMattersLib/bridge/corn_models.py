"""The models for the left atrium that the user can choose: bundled ones, and those in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.model_cards import card_of_file, cards, terms_of_use

if TYPE_CHECKING:
    from MaskWhatMattersLib.models import ModelCard

ARCHITECTURE = "corn-vnet-pair"
DEFAULT_MODEL = "left-atrium"


@dataclass(frozen=True)
class CornModel:
    """One model as the list shows it.

    Attributes:
        name: What the job takes.
        title: One line: name, version, Dice.
        description: Where it was measured, what it learned from, its licence; a few lines.
        protocol: How it was measured, in full; empty when it was not.
        needs_acknowledgement: Whether its weights are for research only.
        path: The .safetensors file.
    """

    name: str
    title: str
    description: str
    protocol: str
    needs_acknowledgement: bool
    path: Path


def corn_models() -> list[CornModel]:
    """Models of this kind on this computer, the default first; none while the packages to read them are missing."""
    models = [_describe(name, path, card) for name, path, card in cards(ARCHITECTURE)]
    return sorted(models, key=lambda model: model.name != DEFAULT_MODEL)


def model_of_file(path: str) -> CornModel | None:
    """The model in a file; None when there is none, or its card cannot be read: the job says then what is wrong."""
    found = card_of_file(path)
    return _describe(found[1].name, *found) if found is not None else None


def _describe(name: str, path: Path, card: ModelCard) -> CornModel:
    dice = next((metric for metric in card.metrics if metric.name.lower().startswith("dice")), None)
    title = f"{name} {card.version}"
    parts = []
    if dice is not None:
        title = _("{title} (Dice {dice:.3f})").format(title=title, dice=dice.value)
        # Up to the first comma: the rest is for whoever compares methods, and would push Apply off a small screen.
        where = dice.protocol.split(",")[0].rstrip(".")
        parts.append(_("Dice {dice:.3f} on {protocol}.").format(dice=dice.value, protocol=where))
    else:
        parts.append(_("Not measured."))
    protocol = "" if dice is None else _("Dice: {protocol}").format(protocol=dice.protocol)
    return CornModel(name, title, " ".join(parts + terms_of_use(card)), protocol, card.research_only, path)
