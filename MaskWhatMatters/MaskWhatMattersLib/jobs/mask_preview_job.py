"""The job behind the live preview of a masking: one slice of an image with the tokens that would be hidden."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.jobs.spec import JobSpec
from MaskWhatMattersLib.masking.config import MaskingConfig, RegionConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from MaskWhatMattersLib.masking.token_mask import TokenMask
    from MaskWhatMattersLib.progress import Progress
    from MaskWhatMattersLib.volumes import Volume


class MaskPreviewSpec(JobSpec):
    """What to hide, of what kind of tokens, and which slice to show; the image is the job's data."""

    function: ClassVar[str] = "MaskWhatMattersLib.jobs.mask_preview_job:run"

    masking: MaskingConfig = MaskingConfig(kind="relevance")
    region: RegionConfig = RegionConfig()
    preprocessing: ImagePreprocessing = ImagePreprocessing()
    patch_size: tuple[int, ...] = Field((16, 16, 16), description="Voxels of a token along the spatial axes.")
    size: tuple[int, ...] | None = Field(
        None, description="Voxels of a crop around the region in the slice; None: the whole image, in whole tokens."
    )
    position: float | None = Field(
        None, ge=0, le=1, description="Place of the slice from the feet to the head; None: where the region is largest."
    )
    seed: int = Field(0, ge=0, description="Another seed hides other tokens.")
    original: bool = Field(False, description="Show the slice without hidden tokens at the left, too.")
    device: str = Field("auto", description='Where the localizer runs: "auto", "cpu", "cuda", "cuda:1", "mps".')
    cache: Path | None = Field(None, description="Folder of the relevance cache; that of the user when None.")
    key: str | None = Field(
        None, description="Names image and label map as they are now; sent once, a warm worker knows them by it."
    )

    @model_validator(mode="after")
    def _dimensions_agree(self) -> Self:
        dims = self.preprocessing.spatial_dims
        sizes = (self.patch_size, self.size or self.patch_size)
        if any(len(sides) != dims or min(sides) < 1 for sides in sizes):
            raise ValueError(f"patch_size and size must be {dims} numbers from 1 on, as in preprocessing.spatial_dims")
        if any(side % patch for side, patch in zip(sizes[1], self.patch_size, strict=True)):
            raise ValueError(f"size must be whole tokens; found {self.size} with tokens of {self.patch_size}")
        return self


@dataclass(frozen=True)
class MaskPreview:
    """A picture of a masking, and its figures.

    Attributes:
        png: The slice with hidden tokens covered and the region outlined, a PNG file.
        ratio: Hidden share of all tokens.
        inside: Hidden share of the relevant tokens; None where there are none.
        outside: Hidden share of the others; None where there are none.
        tokens: Of the image, or of the crop.
        relevant_tokens: As many of them lie in the region.
        message: What was done, one sentence or two.
        position: Place of the slice, 0..1.
        cached: Whether the region was known before.
        seconds: Time that finding the region took, s.
    """

    png: bytes
    ratio: float
    inside: float | None
    outside: float | None
    tokens: int
    relevant_tokens: int
    message: str
    position: float
    cached: bool
    seconds: float


def run(
    spec: MaskPreviewSpec, context: Progress, volume: Volume | None = None, label_map: Volume | None = None
) -> MaskPreview:
    """Draw the tokens of an image that would be hidden.

    The region is kept in the relevance cache, and the prepared image in this process, so that only the first preview
    of an image takes its time.

    Args:
        spec: Settings.
        context: Receives progress.
        volume: Scalar image, [1, D, H, W]; None: the one that was sent with `spec.key` before.
        label_map: The drawn region on its grid, where `spec.region` takes it from labels; goes with the volume.

    Raises:
        InputError: Image, label map, prompt or settings cannot be used; or the image must be sent (again).
    """
    from MaskWhatMattersLib.jobs.mask_preview_image import warm_image

    image = warm_image(spec, volume, label_map)
    prepared = image.prepared(spec.preprocessing)
    started = time.perf_counter()
    marks, messages, cached = image.marks(spec, context)
    seconds = time.perf_counter() - started
    place = _place(spec, marks)
    grey, inside, shown = _crop(spec, prepared, marks, place)
    mask = _masked(spec, inside)
    return MaskPreview(
        png=_picture(spec, grey, inside, shown, mask),
        ratio=float(mask.ratio()),
        inside=_number(float(mask.ratio_inside())),
        outside=_number(float(mask.ratio_outside())),
        tokens=mask.hidden.numel(),
        relevant_tokens=int(mask.relevant.sum()) if mask.relevant is not None else 0,
        message=" ".join([_summary(spec, mask, bool(marks.any())), *messages]),
        position=place[0] / max(len(marks) - 1, 1),
        cached=cached,
        seconds=seconds,
    )


def _place(spec: MaskPreviewSpec, marks: NDArray[np.bool_]) -> tuple[int, int, int]:
    """The slice that is shown, and the middle of the region in it; of the slice where it has none."""
    by_slice = marks.reshape(len(marks), -1).sum(axis=1)
    if spec.position is not None:
        index = round(spec.position * (len(marks) - 1))
    else:
        largest = np.flatnonzero(by_slice == by_slice.max())  # many slices, where the region is a box
        index = int(largest[len(largest) // 2])
    rows, columns = np.nonzero(marks[index])
    if not len(rows):
        return index, marks.shape[1] // 2, marks.shape[2] // 2
    return index, int(rows.min() + rows.max()) // 2, int(columns.min() + columns.max()) // 2


def _crop(
    spec: MaskPreviewSpec, prepared: Volume, marks: NDArray[np.bool_], place: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], int]:
    """What is masked, and which slice of it is shown: grey values and region, whole tokens, [*spatial]."""
    middle: tuple[int, ...] = place
    grey, inside = prepared.array[0], marks
    if spec.preprocessing.spatial_dims == 2:
        grey, inside, middle = grey[place[0]], inside[place[0]], place[1:]
    wanted = spec.size or [-(-side // patch) * patch for side, patch in zip(grey.shape, spec.patch_size, strict=True)]
    box, around = [], []
    for side, length, centre in zip(grey.shape, wanted, middle, strict=True):
        start = min(max(centre - length // 2, 0), max(side - length, 0))
        box.append(slice(start, start + length))
        missing = max(length - side, 0)
        around.append((missing // 2, missing - missing // 2))
    shown = 0 if spec.preprocessing.spatial_dims == 2 else place[0] - box[0].start + around[0][0]
    return np.pad(grey[tuple(box)], around), np.pad(inside[tuple(box)], around), shown


def _masked(spec: MaskPreviewSpec, inside: NDArray[np.bool_]) -> TokenMask:
    import torch

    from MaskWhatMattersLib.masking.draw import draw_mask

    grid = [side // patch for side, patch in zip(inside.shape, spec.patch_size, strict=True)]
    region = torch.from_numpy(np.ascontiguousarray(inside))[None] if spec.region.source != "none" else None
    return draw_mask(spec.masking, grid, 1, seed=spec.seed, device="cpu", region=region)


def _picture(
    spec: MaskPreviewSpec, grey: NDArray[np.uint8], inside: NDArray[np.bool_], shown: int, mask: TokenMask
) -> bytes:
    from MaskWhatMattersLib.masking.preview import masked_picture, png_of, side_by_side

    hidden = mask.hidden[0].numpy()
    if hidden.ndim == 3:  # prepared volumes run to the head, the front and the patient's right
        hidden = hidden[shown // spec.patch_size[0], ::-1, ::-1]
        grey, inside = grey[shown, ::-1, ::-1], inside[shown, ::-1, ::-1]
    outline = inside if spec.region.source != "none" else None
    masked = masked_picture(grey, hidden, outline)
    return png_of(side_by_side(masked_picture(grey, None, outline), masked) if spec.original else masked)


def _summary(spec: MaskPreviewSpec, mask: TokenMask, anywhere: bool) -> str:
    """What is hidden, in one sentence or two."""
    tokens, share = mask.hidden.numel(), f"{float(mask.ratio()):.0%}"
    if mask.relevant is None or not bool(mask.has_region()):
        if spec.region.source == "none":
            return f"{share} of {tokens} tokens are hidden."
        where = "in this part of the image" if anywhere else "in this image"
        return f"No region {where}: {share} of all {tokens} tokens are hidden."
    inside, relevant = float(mask.ratio_inside()), int(mask.relevant.sum())
    rest = f" and {float(mask.ratio_outside()):.0%} of the others" if relevant < tokens else ""
    return f"{share} of {tokens} tokens are hidden: {inside:.0%} of {relevant} relevant ones{rest}."


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
