"""SAM and SAM 2: the outline of what a box encloses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
from MaskWhatMattersLib.relevance.text_models.pixels import IMAGENET, Preprocessing, prepare

_FAMILIES: dict[str, tuple[str, Preprocessing]] = {
    "sam": ("SamModel", Preprocessing("corner", 1024, 1024, *IMAGENET)),
    "sam2": ("Sam2Model", Preprocessing("stretch", 1024, 1024, *IMAGENET)),
    "sam2_video": ("Sam2Model", Preprocessing("stretch", 1024, 1024, *IMAGENET)),
}


class Segmenter:
    """A promptable segmenter of the SAM family (Kirillov et al. 2023, arXiv:2304.02643).

    Raises:
        ModelFileError: Another family, or files that cannot be loaded.
    """

    def __init__(self, folder: ModelFolder) -> None:
        if folder.model_type not in _FAMILIES:
            raise ModelFileError(
                f'{folder.path} holds a model of the type "{folder.model_type}", which does not segment boxes. Choose '
                f"a segmenter of one of these types: {', '.join(_FAMILIES)}."
            )
        class_name, wanted = _FAMILIES[folder.model_type]
        self._model: Any = folder.model(class_name)
        self._device = folder.device
        self._wanted = wanted.from_folder(folder.path)

    @torch.inference_mode()
    def masks(self, picture: NDArray[np.uint8], boxes: Tensor) -> Tensor:
        """Probability per pixel inside each box.

        Args:
            picture: RGB, [H, W, 3].
            boxes: x0, y0, x1, y1 in pixels of the picture, [N, 4].

        Returns:
            [N, H, W], 0..1.
        """
        pixels, frame = prepare(picture, self._wanted)
        on_input = frame.boxes_on_input(boxes)[None].to(self._device)
        output = self._model(pixel_values=pixels.to(self._device), input_boxes=on_input, multimask_output=False)
        logits = output.pred_masks[0, :, 0]
        return frame.maps_on_picture(logits).sigmoid().cpu()
