"""Prompt and volume in, relevance map out; light: nothing heavy is imported before a localizer is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MaskWhatMattersLib.progress import Progress, SilentProgress
from MaskWhatMattersLib.relevance.concepts import Concept, Understanding, load_concepts, understand
from MaskWhatMattersLib.relevance.registry import (
    Localizer,
    LocalizerInfo,
    available_localizers,
    create_localizer,
)
from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap, Verdict
from MaskWhatMattersLib.relevance.roi import RoiBox, RoiSphere
from MaskWhatMattersLib.volumes import Volume

__all__ = [
    "Concept",
    "Localizer",
    "LocalizerInfo",
    "RelevanceMap",
    "RoiBox",
    "RoiSphere",
    "Understanding",
    "Verdict",
    "available_localizers",
    "create_localizer",
    "load_concepts",
    "localize",
    "understand",
]


def localize(
    volume: Volume,
    prompts: str | Sequence[str],
    *,
    localizer: str = "builtin",
    modality: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[RelevanceMap]:
    """Relevance of every voxel for each prompt.

    Args:
        volume: Scalar volume or picture, [1, D, H, W].
        prompts: One structure each, in plain words.
        localizer: Name in `available_localizers()`.
        modality: "CT", "MR" or "XR" when it is known; None: what the file says, else guessed from the voxels.
        progress: Told of stages and steps.
        **options: Of the localizer, for example device="cuda", model=a file, roi=a label map.

    Returns:
        One map per prompt, in their order, each on the volume's own grid.

    Raises:
        InputError: A prompt or the volume cannot be used.
    """
    asked = [prompts] if isinstance(prompts, str) else list(prompts)
    made = create_localizer(localizer, **options)
    return made.localize(volume, asked, context=progress or SilentProgress(), modality=modality)
