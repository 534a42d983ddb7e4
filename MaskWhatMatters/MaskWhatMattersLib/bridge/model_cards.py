"""Cards of the models on this computer, as panels list them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MaskWhatMattersLib.models import ModelCard


def cards(architecture: str) -> Iterator[tuple[str, Path, ModelCard]]:
    """Name, file and card of every model of one kind; none while the packages to read them are missing."""
    try:
        from MaskWhatMattersLib.errors import ModelFileError
        from MaskWhatMattersLib.models import list_models, read_card
    except ImportError:
        return
    for entry in list_models():
        if entry.path is None:
            continue
        try:
            card = read_card(entry.path)
        except ModelFileError:
            continue  # Check setup tells about broken cards
        if card.architecture == architecture:
            yield entry.name, entry.path, card


def card_of_file(path: str) -> tuple[Path, ModelCard] | None:
    """The card of a file; None when there is none, or it cannot be read: the job says then what is wrong."""
    try:
        from MaskWhatMattersLib.errors import ModelFileError
        from MaskWhatMattersLib.models import read_card
    except ImportError:
        return None
    file = Path(path)
    if file.suffix != ".safetensors" or not file.is_file():
        return None
    try:
        return file, read_card(file)
    except ModelFileError:
        return None


def terms_of_use(card: ModelCard) -> list[str]:
    """What a model learned from and its licence, one sentence each."""
    trained = ", ".join(
        _("{name} ({cases} scans)").format(name=data.name, cases=data.cases) if data.cases else data.name
        for data in card.training_data
    )
    sentences = [_("Trained on {data}.").format(data=trained)] if trained else []
    return [*sentences, _("Licence: {licence}.").format(licence=card.licence.rstrip("."))]
