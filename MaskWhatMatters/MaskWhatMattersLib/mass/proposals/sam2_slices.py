"""Every mask that SAM 2 sees in one picture: a grid of points, then what is good, large and new enough.

The image processor of `transformers` needs torchvision, which is tied to one build of torch; this is all it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.mass.proposals.sam2_config import Sam2Config
from MaskWhatMattersLib.relevance.text_models.pixels import Preprocessing, prepare

_QUARTER_OVERLAP = 0.5
_EDGE_PIXELS = 2


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Masks of one picture, bool [N, H, W], and the overlap that SAM 2 expects of them, [N]."""

    masks: Tensor
    scores: Tensor


class SliceMasks:
    """Automatic mask generation (Kirillov et al. 2023, arXiv:2304.02643, section 5) by SAM 2 (arXiv:2408.00714).

    Args:
        model: Sam2Model, ready to predict.
        device: Where it runs.
        wanted: How it wants its pixels.
        config: Thresholds.
    """

    def __init__(self, model: Any, device: torch.device, wanted: Preprocessing, config: Sam2Config) -> None:
        self._model = model
        self._device = device
        self._wanted = wanted
        self._config = config

    @torch.inference_mode()
    def find(self, picture: NDArray[np.uint8], body: NDArray[np.bool_], pixel_mm2: float) -> NDArray[np.bool_]:
        """Masks, the surest first, [N, H, W].

        Args:
            picture: RGB, [H, W, 3].
            body: Where masks are wanted, [H, W].
            pixel_mm2: Area of a pixel.
        """
        found = [self._in_part(picture, body, pixel_mm2, part) for part in _parts(body.shape, self._config.crop_layers)]
        masks = torch.cat([each.masks for each in found])
        scores = torch.cat([each.scores for each in found])
        order = scores.argsort(descending=True, stable=True)
        kept = _without_overlapping_boxes(masks[order], self._config.box_overlap)[: self._config.most_per_slice]
        return masks[order][kept].numpy()

    def _in_part(
        self, picture: NDArray[np.uint8], body: NDArray[np.bool_], pixel_mm2: float, part: tuple[slice, slice]
    ) -> _Candidates:
        """Masks that SAM 2 sees in a part of a picture, at the size of the whole."""
        inside = body[part]
        pixels, frame = prepare(np.ascontiguousarray(picture[part]), self._wanted)
        points = _grid(inside, self._config.points_per_side)
        whole = torch.zeros((0, *body.shape), dtype=torch.bool)
        if not len(points):
            return _Candidates(whole, torch.zeros(0))
        embeddings = self._model.get_image_embeddings(pixels.to(self._device))
        scale = torch.tensor([frame.content_size[axis] / frame.picture_size[axis] for axis in (1, 0)])
        masks, scores = [], []
        for batch in (points * scale).split(self._config.points_per_batch):
            answer = self._model(
                image_embeddings=embeddings,
                input_points=batch[None, :, None].to(self._device),
                input_labels=torch.ones((1, len(batch), 1), dtype=torch.int64, device=self._device),
                multimask_output=True,
            )
            expected = answer.iou_scores[0].reshape(-1).float().cpu()
            logits = answer.pred_masks[0].flatten(0, 1).cpu()
            sure = expected > self._config.least_predicted_overlap
            good, which = self._good(frame.maps_on_picture(logits[sure]), torch.from_numpy(inside), pixel_mm2)
            masks.append(good)
            scores.append(expected[sure][which])
        candidates = _Candidates(torch.cat(masks), torch.cat(scores))
        return candidates if inside.shape == body.shape else _in_whole(candidates, body.shape, part)

    def _good(self, logits: Tensor, body: Tensor, pixel_mm2: float) -> tuple[Tensor, Tensor]:
        """Masks that are stable, large enough and in the body, [n, h, w], and which of the N they are, [N]."""
        masks = logits > 0
        area = masks.sum((1, 2))
        stability = (logits > 1).sum((1, 2)) / (logits > -1).sum((1, 2)).clamp(min=1)
        in_body = (masks & body).sum((1, 2)) / area.clamp(min=1)
        which = (
            (stability > self._config.least_stability)
            & (area * pixel_mm2 >= max(self._config.least_area_mm2, pixel_mm2))
            & (in_body >= self._config.least_inside_body)
        )
        return masks[which], which


def _parts(shape: tuple[int, ...], layers: int) -> list[tuple[slice, slice]]:
    """The whole picture, and four parts of it that overlap by half of its shorter side."""
    whole = (slice(0, shape[0]), slice(0, shape[1]))
    if not layers:
        return [whole]
    overlap = int(_QUARTER_OVERLAP * min(shape))
    sides = [(length + overlap + 1) // 2 for length in shape]
    starts = [(0, length - side) for length, side in zip(shape, sides, strict=True)]
    corners = product(*starts)
    return [whole, *((slice(top, top + sides[0]), slice(left, left + sides[1])) for top, left in corners)]


def _grid(body: NDArray[np.bool_], per_side: int) -> Tensor:
    """Points x, y in pixels, evenly spaced, those in the body alone, [N, 2]."""
    height, width = body.shape
    steps = (np.arange(per_side) + 0.5) / per_side
    y, x = (grid.ravel() for grid in np.meshgrid(steps * height, steps * width, indexing="ij"))
    inside = body[y.astype(int), x.astype(int)]
    return torch.from_numpy(np.stack([x, y], axis=1)[inside]).float()


def _in_whole(found: _Candidates, shape: tuple[int, ...], part: tuple[slice, slice]) -> _Candidates:
    """Masks of a part at their place in the picture; those that the part's edge may cut are left out."""
    rows, columns = part
    inner = torch.zeros(found.masks.shape[1:], dtype=torch.bool)
    inner[_edge(rows, shape[0]), _edge(columns, shape[1])] = True
    whole = (found.masks & ~inner).sum((1, 2)) == 0
    masks = torch.zeros((int(whole.sum()), *shape), dtype=torch.bool)
    masks[:, rows, columns] = found.masks[whole]
    return _Candidates(masks, found.scores[whole])


def _edge(side: slice, length: int) -> slice:
    """What of a part is not near an edge of it that cuts the picture."""
    first = _EDGE_PIXELS if side.start > 0 else 0
    last = side.stop - side.start - (_EDGE_PIXELS if side.stop < length else 0)
    return slice(first, last)


def _without_overlapping_boxes(masks: Tensor, most: float) -> list[int]:
    """Masks whose boxes do not overlap that of an earlier one by more than so much of their union."""
    boxes = torch.tensor([_box(mask) for mask in masks]).reshape(-1, 4)
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if not kept or float(_box_overlap(box, boxes[kept]).max()) <= most:
            kept.append(index)
    return kept


def _box(mask: Tensor) -> list[int]:
    """Lowest row and column, then one beyond the highest."""
    rows, columns = (mask.any(axis).nonzero().ravel() for axis in (1, 0))
    return [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]


def _box_overlap(box: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of a box with others, [N]."""
    common = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return common / (areas - common)
