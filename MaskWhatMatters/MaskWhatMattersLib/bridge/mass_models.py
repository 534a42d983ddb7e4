"""The models that segment by example and that the user can choose: bundled ones, and those in the user's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.model_cards import card_of_file, cards, terms_of_use

if TYPE_CHECKING:
    from MaskWhatMattersLib.models import ModelCard

ARCHITECTURE = "mass"
DEFAULT_MODEL = "mass-tiny"


@dataclass(frozen=True)
class MassModel:
    """One model as the list shows it.

    Attributes:
        name: What the job takes.
        title: One line: name, version.
        full_name: Name and version, as results and tasks have it.
        description: What it is, what it learned from, its licence; a few lines.
        needs_acknowledgement: Whether its weights are for research only.
        path: The .safetensors file.
    """

    name: str
    title: str
    full_name: str
    description: str
    needs_acknowledgement: bool
    path: Path


def mass_models() -> list[MassModel]:
    """Models of this kind on this computer, the default first; none while the packages to read them are missing."""
    models = [_describe(name, path, card) for name, path, card in cards(ARCHITECTURE)]
    return sorted(models, key=lambda model: model.name != DEFAULT_MODEL)


def mass_model_of_file(path: str) -> MassModel | None:
    """The model in a file; None when there is none, or its card cannot be read: the job says then what is wrong."""
    found = card_of_file(path)
    return _describe(found[1].name, *found) if found is not None and found[1].architecture == ARCHITECTURE else None


def _describe(name: str, path: Path, card: ModelCard) -> MassModel:
    measured = [
        f"{metric.name} {metric.value:.2f}" for metric in card.metrics if metric.name.lower().startswith("dice")
    ]
    parts = [card.description] if card.description else []
    parts.append(_("Measured: {figures}.").format(figures=", ".join(measured[:4])) if measured else _("Not measured."))
    title = _("{name} {version} (research only)") if card.research_only else _("{name} {version}")
    return MassModel(
        name,
        title.format(name=name, version=card.version),
        f"{card.name} {card.version}",
        " ".join(parts + terms_of_use(card)),
        card.research_only,
        path,
    )
