"""Which localizers there are; each is imported only when it is made. Others add theirs by an entry point."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.progress import Progress
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
from MaskWhatMattersLib.volumes import Volume

ENTRY_POINTS = "maskwhatmatters.localizers"


class Localizer(Protocol):
    """Turns prompts into relevance maps."""

    name: str

    def localize(
        self, volume: Volume, prompts: Sequence[str], *, context: Progress, modality: str | None = None
    ) -> list[RelevanceMap]:
        """One map per prompt, each on the grid of `volume`, [1, D, H, W]."""


@dataclass(frozen=True)
class LocalizerInfo:
    """What a person reads before choosing a localizer.

    Attributes:
        name: Registry name.
        title: Two or three plain words.
        description: One line, plain words.
        licence: Licence of the weights and what it allows, short.
        factory: "package.module:Class", called with the localizer's options.
        needs_acknowledgement: Whether use for research only must be acknowledged first.
        needs_roi: Whether it shows a region that the user has drawn.
        needs_model: Whether a model folder or hub name must be given.
        requires: Import names of the packages that it needs.
    """

    name: str
    title: str
    description: str
    licence: str
    factory: str
    needs_acknowledgement: bool = False
    needs_roi: bool = False
    needs_model: bool = False
    requires: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.requires if importlib.util.find_spec(package) is None]


_OWN = (
    LocalizerInfo(
        name="builtin",
        title="Built in",
        description="Small network that comes with the extension; lungs on X-ray and CT, head and neck CT, brain MR.",
        licence="Apache-2.0; trained on permissively licensed scans only",
        factory="MaskWhatMattersLib.relevance.builtin.localizer:BuiltinLocalizer",
        requires=("torch", "monai", "safetensors", "pydantic"),
    ),
    LocalizerInfo(
        name="builtin-research",
        title="Built in, research data",
        description="The same network trained on all sets: also heart and abdomen on MR.",
        licence="Research use only; trained on sets with non-commercial or unstated terms",
        factory="MaskWhatMattersLib.relevance.builtin.localizer:BuiltinResearchLocalizer",
        needs_acknowledgement=True,
        requires=("torch", "monai", "safetensors", "pydantic"),
    ),
    LocalizerInfo(
        name="roi",
        title="My own region",
        description="A segment, label map, box or sphere that you drew; no network.",
        licence="Yours",
        factory="MaskWhatMattersLib.relevance.roi:RoiLocalizer",
        needs_roi=True,
    ),
    LocalizerInfo(
        name="transformers",
        title="Model of yours",
        description="CLIPSeg, Grounding DINO, OWLv2 or SAM 3 from a folder; not trained for medical images.",
        licence="That of the model you choose",
        factory="MaskWhatMattersLib.relevance.transformers_localizer:TransformersLocalizer",
        needs_model=True,
        requires=("torch", "transformers"),
    ),
    LocalizerInfo(
        name="finetuned",
        title="Finetuned by you",
        description="A segmentation or detection model from the tab Finetune; prompts are the names of its labels.",
        licence="That of your data and of the start model",
        factory="MaskWhatMattersLib.finetuning.localizer:FinetunedLocalizer",
        needs_model=True,
        requires=("torch", "monai", "safetensors", "pydantic"),
    ),
)


@functools.cache
def available_localizers() -> dict[str, LocalizerInfo]:
    """Every known localizer by name: our own, then those of other packages' entry points.

    An entry point in the group "maskwhatmatters.localizers" names a `LocalizerInfo`. One that cannot be loaded is left
    out with a warning: another package's mistake must not take ours away.
    """
    found = {info.name: info for info in _OWN}
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            info = entry.load()
        except Exception as error:
            logging.warning("The localizer %s of another package cannot be loaded: %s", entry.name, error)
            continue
        if isinstance(info, LocalizerInfo):
            found.setdefault(info.name, info)
    return found


def localizer_info(name: str) -> LocalizerInfo:
    """What is known about one localizer.

    Raises:
        InputError: No such localizer; names the nearest.
    """
    known = available_localizers()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f' Did you mean "{near[0]}"?' if near else ""
        raise InputError(f'There is no localizer "{name}". Available: {", ".join(known)}.{meant}')
    return known[name]


def create_localizer(name: str, **options: Any) -> Localizer:
    """Make a localizer, which may load weights.

    Args:
        name: Registry name.
        **options: What its class takes: device, model, roi, ...; None means its own default.

    Raises:
        InputError: Unknown name, a package is missing, or an option is missing or does not exist.
    """
    info = localizer_info(name)
    missing = info.missing()
    if missing:
        raise InputError(
            f'The localizer "{name}" needs packages that are not installed: {", ".join(missing)}. '
            f"Install them (in Slicer: the button in the setup strip; elsewhere: pip install {' '.join(missing)})."
        )
    module, attribute = info.factory.split(":")
    given = {key: value for key, value in options.items() if value is not None}
    try:
        made = getattr(importlib.import_module(module), attribute)(**given)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InputError(f'The localizer "{name}" cannot be made from {sorted(given)}: {error}.') from error
    localizer: Localizer = made
    return localizer
