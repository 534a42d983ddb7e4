"""The job behind "segment the left atrium": one scan, with a model that stays loaded."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec

if TYPE_CHECKING:
    from MaskWhatMattersLib.corn.predict import AtriumSegmentation, AtriumSegmenter
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume

_MAX_WARM = 2  # a second model is compared with the first; more would only fill the graphics card
_warm: OrderedDict[tuple[str, int, str | None, str], AtriumSegmenter] = OrderedDict()


class CornSegmentSpec(JobSpec):
    """With which model to segment, and how."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.corn_segment_job:run"

    model: str | None = Field(None, description="Model name or .safetensors file; the bundled one when None.")
    finder: str | None = Field(None, description="The same for the network that finds the atrium.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1".')
    field_of_view: Literal["auto", "crop", "full"] = Field("auto", description="full: find the atrium first.")
    mirrored: bool = Field(False, description="Average over mirror images, four times the work.")
    keep_probability: bool = Field(False, description="Return the probability, too.")


def run(spec: CornSegmentSpec, context: Progress, volume: Volume) -> AtriumSegmentation:
    """Segment the left atrium in a scan.

    Args:
        spec: Model and settings.
        context: Receives progress.
        volume: Scalar MR scan, [1, D, H, W].

    Raises:
        InputError: The scan, the model or the device cannot be used.
    """
    return _segmenter(spec, context).segment(
        volume,
        field_of_view=spec.field_of_view,
        mirrored=spec.mirrored,
        keep_probability=spec.keep_probability,
        progress=context,
    )


def _segmenter(spec: CornSegmentSpec, context: Progress) -> AtriumSegmenter:
    from MaskWhatMattersLib.corn.predict import DEFAULT_MODEL, AtriumSegmenter
    from MaskWhatMattersLib.models import find_model

    path = find_model(spec.model or DEFAULT_MODEL)
    # With its time: a model that is trained again under the same name is another one.
    key = (str(path.resolve()), path.stat().st_mtime_ns, spec.finder, spec.device)
    if key not in _warm:
        context.stage("Loading the model")
        while len(_warm) >= _MAX_WARM:
            _warm.popitem(last=False)
        _warm[key] = AtriumSegmenter.load(path, spec.device, spec.finder)
    _warm.move_to_end(key)
    return _warm[key]
