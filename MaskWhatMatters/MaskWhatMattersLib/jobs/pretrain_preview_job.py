"""The job behind the live picture in the tab "Pretrain": what the settings of a pretraining would hide in an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.jobs.mask_preview_job import MaskPreview
from MaskWhatMattersLib.jobs.spec import JobSpec

if TYPE_CHECKING:
    from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume


class PretrainPreviewSpec(JobSpec):
    """Settings as for a pretraining; they say what is hidden, in tokens of which size, of an image of which grid."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.pretrain_preview_job:run"

    preset: Literal["fast", "paper", "best"] | None = None
    method: Literal["spark", "mae", "simmim", "simclr"] | None = None
    dims: Literal[2, 3] | None = None
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of PretrainConfig.")
    data: Path | None = Field(None, description="Folder or manifest whose first image is shown; None: that of `key`.")
    position: float | None = Field(None, ge=0, le=1, description="As for `MaskPreviewSpec`.")
    seed: int = Field(0, ge=0, description="Another seed hides other tokens.")
    device: str = Field("auto", description="Where the localizer runs.")
    cache: Path | None = Field(None, description="Folder of the relevance cache; that of the user when None.")
    key: str = Field(description="Names the image as it is now; sent or read once, a warm worker knows it by this.")


def run(spec: PretrainPreviewSpec, context: Progress, volume: Volume | None = None) -> MaskPreview:
    """Draw the tokens of an image that a pretraining would hide.

    Args:
        spec: Settings.
        context: Receives progress.
        volume: Scalar image, [1, D, H, W]; None: the one of `spec.key`, or the first one of `spec.data`.

    Raises:
        InputError: Settings, image or prompts cannot be used; or the image must be sent (again).
    """
    from MaskWhatMattersLib.jobs import mask_preview_job
    from MaskWhatMattersLib.jobs.mask_preview_image import is_warm
    from MaskWhatMattersLib.jobs.pretrain_job import PretrainEstimateSpec, pretrain_settings

    shared = spec.model_dump(include={"preset", "method", "dims", "config"})
    config = pretrain_settings(PretrainEstimateSpec(**shared))
    preview = mask_preview_job.MaskPreviewSpec(
        masking=config.masking,
        region=config.region,
        preprocessing=config.preprocessing,
        patch_size=config.encoder.patch_size,
        **spec.model_dump(include={"position", "seed", "device", "cache", "key"}),
    )
    if volume is None and spec.data is not None and not is_warm(spec.key):
        volume = _first_image(spec.data, config.preprocessing)
    return mask_preview_job.run(preview, context, volume)


def _first_image(data: Path, preprocessing: ImagePreprocessing) -> Volume:
    from MaskWhatMattersLib.datasets.cases import loaded
    from MaskWhatMattersLib.datasets.find_images import find_images

    cases = find_images(data, preprocessing).cases
    if not cases:
        raise InputError(f"{data} holds no image that can be read. Choose another folder.")
    return loaded(cases[0].image)
