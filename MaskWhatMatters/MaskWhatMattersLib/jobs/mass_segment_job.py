"""The jobs behind "segment by example": encode examples into a task once, then apply it to one scan at a time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.volumes import read_volume

if TYPE_CHECKING:
    from MaskWhatMattersLib.mass.example import Example
    from MaskWhatMattersLib.mass.result import InContextSegmentation
    from MaskWhatMattersLib.mass.segment import InContextSegmenter
    from MaskWhatMattersLib.mass.task import Task
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume

_MAX_WARM = 2  # a tuned model beside the one that it comes from; more would only fill the graphics card
_warm: OrderedDict[tuple[str, int, str], InContextSegmenter] = OrderedDict()


class MassEncodeSpec(JobSpec):
    """With which model examples become a task."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_segment_job:encode"

    model: str | None = Field(None, description="Model name or .safetensors file; the default one when None.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1".')
    spacing_mm: float | None = Field(None, gt=0, description="Of the voxels that the network sees; the model's own.")


class MassSegmentSpec(JobSpec):
    """How a task is applied to a scan."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mass_segment_job:segment"

    model: str | None = Field(None, description="Model name or .safetensors file; that of the task when None.")
    device: str = Field("auto", description='"auto", "cpu", "cuda", "cuda:1".')
    settings: SegmentSettings = SegmentSettings()
    replace_nan: float | None = Field(None, description="Value for voxels of a file that are no number.")


def encode(spec: MassEncodeSpec, context: Progress, *examples: Example) -> Task:
    """Make a task of examples.

    Args:
        spec: Model and device.
        context: Receives progress.
        examples: Scans and what is marked on them.

    Raises:
        InputError: The examples, the model or the device cannot be used.
    """
    segmenter = _segmenter(spec.model, spec.device, context)
    return segmenter.encode(examples, spacing_mm=spec.spacing_mm, progress=context)


def segment(spec: MassSegmentSpec, context: Progress, volume: Volume | Path, task: Task) -> InContextSegmentation:
    """Apply a task to one scan.

    Args:
        spec: Model, device and settings.
        context: Receives progress.
        volume: Scalar scan, [1, D, H, W], or its file or DICOM folder, absolute, on the computer of the worker.
        task: From `encode`, a task file or a tuning.

    Raises:
        ModelFileError: The task was made with another model, or its model is not here.
        InputError: The scan or the device cannot be used.
    """
    if isinstance(volume, Path):
        context.stage("Reading the scan")
        volume = read_volume(volume, replace_nan=spec.replace_nan)
    segmenter = _segmenter(spec.model or _model_of(task), spec.device, context)
    return segmenter.segment(volume, task, spec.settings, context)


def _model_of(task: Task) -> str:
    """The file that the task was made with if it is here, else the model of that name."""
    if task.model_file and Path(task.model_file).is_file():
        return task.model_file
    return task.model.rpartition(" ")[0] or task.model


def _segmenter(model: str | None, device: str, context: Progress) -> InContextSegmenter:
    from MaskWhatMattersLib.mass.model_choice import find_mass_model
    from MaskWhatMattersLib.mass.segment import InContextSegmenter

    path = find_mass_model(model)
    # With its time: a model that is trained again under the same name is another one.
    key = (str(path.resolve()), path.stat().st_mtime_ns, device)
    if key not in _warm:
        context.stage("Loading the model")
        while len(_warm) >= _MAX_WARM:
            _warm.popitem(last=False)
        _warm[key] = InContextSegmenter.load(path, device)
    _warm.move_to_end(key)
    return _warm[key]
