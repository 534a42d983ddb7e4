"""The job behind "type a prompt": find prompts in one volume, with a localizer that stays loaded."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec

if TYPE_CHECKING:
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.relevance import Localizer
    from MaskWhatMattersLib.relevance.relevance_map import RelevanceMap
    from MaskWhatMattersLib.volumes import Volume

_MAX_WARM = 2  # each may hold a network of several GB on the graphics card
_warm: OrderedDict[tuple[str, str | None, str], Localizer] = OrderedDict()


class RelevanceSpec(JobSpec):
    """Which prompts to find, and with what."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.relevance_job:run"

    prompts: tuple[str, ...] = Field(min_length=1, description="What to find, in words; one map per prompt.")
    localizer: str = Field("builtin", description="Registry name of the localizer.")
    model: str | None = Field(None, description="Model file, folder or name; the localizer's own when None.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1", "mps".')
    modality: str | None = Field(None, description='"CT", "MR" or "XR"; what the volume says when None.')
    allow_download: bool = Field(False, description="Agreement to fetch a hub model that is not on this computer.")


def run(spec: RelevanceSpec, context: Progress, volume: Volume, roi: Volume | None = None) -> list[RelevanceMap]:
    """Find every prompt in the volume.

    Args:
        spec: Prompts and localizer.
        context: Receives progress.
        volume: Scalar image, [1, D, H, W].
        roi: The user's own region on the volume's grid, for the localizer `roi`.

    Raises:
        InputError: A prompt, the volume or the localizer cannot be used.
    """
    localizer = _localizer(spec, context, roi)
    return localizer.localize(volume, spec.prompts, context=context, modality=spec.modality)


def _localizer(spec: RelevanceSpec, context: Progress, roi: Volume | None) -> Localizer:
    from MaskWhatMattersLib.relevance import create_localizer
    from MaskWhatMattersLib.relevance.registry import localizer_info

    if roi is not None:  # a region belongs to one image, so there is nothing to keep
        return create_localizer(spec.localizer, model=spec.model, device=spec.device, roi=roi)
    may_ask_hub = spec.allow_download and localizer_info(spec.localizer).needs_model
    download = {"consent": True, "progress": context} if may_ask_hub else {}
    key = (spec.localizer, spec.model, spec.device)
    if key not in _warm:
        context.stage("Loading the localizer")
        while len(_warm) >= _MAX_WARM:
            _warm.popitem(last=False)
        _warm[key] = create_localizer(spec.localizer, model=spec.model, device=spec.device, **download)
    _warm.move_to_end(key)
    return _warm[key]
