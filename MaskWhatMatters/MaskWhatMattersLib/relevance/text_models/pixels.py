"""From a picture to a network's input and back, for every model family.

Several image processors of transformers need torchvision, which is tied to one build of torch; this is all they do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pixels.

    Attributes:
        layout: "stretch" to the size; "corner": as large as fits, at the top left, the rest padded; "aspect": the
            shorter side to the height given, the longer to the width given at most, nothing padded.
        height, width: Size, pixels.
        mean, std: Per channel, of values in 0..1.
        padding: Value in 0..1 beside the picture; None: the mean.
    """

    layout: Literal["stretch", "corner", "aspect"]
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: float | None = None

    def from_folder(self, folder: Path) -> Preprocessing:
        """The same with the sizes and statistics of the model's own preprocessor_config.json, where it has one."""
        try:
            given = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return self
        size = given.get("pad_size") if self.layout == "corner" else None
        size = size or given.get("size") or {}
        if isinstance(size, int):
            size = {"height": size, "width": size}
        height = size.get("height") or size.get("shortest_edge") or size.get("longest_edge") or self.height
        width = size.get("width") or size.get("longest_edge") or size.get("shortest_edge") or self.width
        return replace(
            self,
            height=int(height),
            width=int(width),
            mean=tuple(given.get("image_mean") or self.mean),
            std=tuple(given.get("image_std") or self.std),
        )


@dataclass(frozen=True)
class Frame:
    """Where a picture of `picture_size` lies inside a network's input; all sizes are (height, width), pixels.

    Attributes:
        input_size: The network's input.
        content_size: The part of it, from the top left, that shows the picture.
    """

    picture_size: tuple[int, int]
    input_size: tuple[int, int]
    content_size: tuple[int, int]

    def boxes_on_picture(self, relative: Tensor) -> Tensor:
        """Boxes x0, y0, x1, y1 in 0..1 of the input, [N, 4], in pixels of the picture and inside it."""
        per_pixel = [self.picture_size[axis] / self.content_size[axis] * self.input_size[axis] for axis in (1, 0, 1, 0)]
        boxes = relative.float().cpu() * torch.tensor(per_pixel)
        height, width = self.picture_size
        return torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height], dtype=torch.float32))

    def boxes_on_input(self, boxes: Tensor) -> Tensor:
        """Boxes in pixels of the picture, [N, 4], in pixels of the input."""
        return boxes * torch.tensor([self.content_size[axis] / self.picture_size[axis] for axis in (1, 0, 1, 0)])

    def maps_on_picture(self, maps: Tensor) -> Tensor:
        """Maps that cover the input, [N, h, w], at the picture's size, [N, H, W]."""
        whole = functional.interpolate(maps[:, None].float(), self.input_size, mode="bilinear", align_corners=False)
        content = whole[..., : self.content_size[0], : self.content_size[1]]
        fitted = functional.interpolate(content, self.picture_size, mode="bilinear", align_corners=False)
        return fitted[:, 0]


def prepare(picture: NDArray[np.uint8], wanted: Preprocessing) -> tuple[Tensor, Frame]:
    """Resize, pad and normalise a picture.

    Args:
        picture: RGB, [H, W, 3], 0..255.
        wanted: What the model wants.

    Returns:
        Pixels, [1, 3, h, w], and where the picture lies in them.
    """
    from PIL import Image

    size = (picture.shape[0], picture.shape[1])
    content = _content_size(size, wanted)
    resized = Image.fromarray(picture).resize(content[::-1], resample=Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.array(resized, dtype=np.float32) / 255.0).permute(2, 0, 1)
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (wanted.mean, wanted.std))
    whole = content if wanted.layout == "aspect" else (wanted.height, wanted.width)
    background: Any = mean if wanted.padding is None else wanted.padding
    frame = torch.zeros(3, *whole) + background
    frame[:, : content[0], : content[1]] = values
    return ((frame - mean) / std)[None], Frame(size, whole, content)


def _content_size(size: tuple[int, int], wanted: Preprocessing) -> tuple[int, int]:
    if wanted.layout == "stretch":
        return wanted.height, wanted.width
    if wanted.layout == "corner":
        scale = min(wanted.height / size[0], wanted.width / size[1])
    else:
        scale = min(wanted.height / min(size), wanted.width / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
