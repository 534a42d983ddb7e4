"""The model families: each finds prompts in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from MaskWhatMattersLib.errors import ModelFileError
from MaskWhatMattersLib.relevance.text_models.loading import ModelFolder
from MaskWhatMattersLib.relevance.text_models.pixels import CLIP, HALF, IMAGENET, Frame, Preprocessing, prepare
from MaskWhatMattersLib.relevance.text_models.segmenters import Segmenter

_MOST_BOXES = 10


@dataclass(frozen=True, eq=False)
class Found:
    """What a model says about one prompt in one picture.

    Attributes:
        relevance: Float32 in 0..1, [H, W], at the picture's size.
        score: Evidence in 0..1 that the thing is there.
    """

    relevance: NDArray[np.float32]
    score: float


class TextModel(Protocol):
    """Finds prompts in pictures."""

    min_score: float
    """Score from which the thing counts as found, unless the user sets another."""

    def find(self, picture: NDArray[np.uint8], prompts: Sequence[str]) -> list[Found]:
        """One answer per prompt about an RGB picture, [H, W, 3]."""


class ClipSeg:
    """CLIPSeg (Lüddecke and Ecker 2022, arXiv:2112.10003): a dense map straight from the text."""

    min_score = 0.5

    def __init__(self, folder: ModelFolder) -> None:
        self._tokenizer = folder.tokenizer()
        self._model = folder.model("CLIPSegForImageSegmentation")
        self._device = folder.device
        self._wanted = Preprocessing("stretch", 352, 352, *IMAGENET).from_folder(folder.path)

    def find(self, picture: NDArray[np.uint8], prompts: Sequence[str]) -> list[Found]:
        """The score is the highest value of the map."""
        pixels, frame = prepare(picture, self._wanted)
        tokens = self._tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        repeated = pixels.to(self._device).expand(len(prompts), -1, -1, -1)
        logits = self._model(pixel_values=repeated, **tokens).logits
        maps = frame.maps_on_picture(logits.reshape(len(prompts), *logits.shape[-2:]).sigmoid())
        return [_found(one, float(one.max())) for one in maps]


class GroundingDino:
    """Grounding DINO (Liu et al. 2023, arXiv:2303.05499): boxes from text; a segmenter turns them into masks."""

    min_score = 0.3

    def __init__(self, folder: ModelFolder, class_name: str, segmenter: Segmenter | None) -> None:
        self._tokenizer = folder.tokenizer()
        self._model = folder.model(class_name)
        self._device = folder.device
        self._segmenter = segmenter
        self._wanted = Preprocessing("aspect", 800, 1333, *IMAGENET).from_folder(folder.path)

    def find(self, picture: NDArray[np.uint8], prompts: Sequence[str]) -> list[Found]:
        """One pass per prompt: the model mixes up what it reads in one sentence."""
        pixels, frame = prepare(picture, self._wanted)
        return [self._find(picture, pixels.to(self._device), frame, prompt) for prompt in prompts]

    def _find(self, picture: NDArray[np.uint8], pixels: Tensor, frame: Frame, prompt: str) -> Found:
        # It was trained on lower-case phrases that end with a dot.
        text = prompt.lower().rstrip(". ") + "."
        tokens = self._tokenizer(
            text, truncation=True, max_length=self._model.config.max_text_len, return_tensors="pt"
        ).to(self._device)
        output = self._model(pixel_values=pixels, **tokens)
        scores = output.logits[0].sigmoid().max(dim=-1).values.cpu()
        boxes = frame.boxes_on_picture(_corners(output.pred_boxes[0]))
        return _from_boxes(picture, boxes, scores, self.min_score, self._segmenter)


class Owl:
    """OWLv2 and OWL-ViT (Minderer et al. 2023, arXiv:2306.09683): boxes from text; a segmenter makes masks."""

    min_score = 0.2

    def __init__(self, folder: ModelFolder, class_name: str, segmenter: Segmenter | None) -> None:
        self._tokenizer = folder.tokenizer()
        self._model = folder.model(class_name)
        self._device = folder.device
        self._segmenter = segmenter
        if class_name == "Owlv2ForObjectDetection":
            wanted = Preprocessing("corner", 960, 960, *CLIP, padding=0.5)  # grey, as in the authors' code
        else:
            wanted = Preprocessing("stretch", 768, 768, *CLIP)
        self._wanted = wanted.from_folder(folder.path)

    def find(self, picture: NDArray[np.uint8], prompts: Sequence[str]) -> list[Found]:
        """All prompts in one pass; each picks its own boxes."""
        pixels, frame = prepare(picture, self._wanted)
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        ).to(self._device)
        output = self._model(pixel_values=pixels.to(self._device), **tokens)
        boxes = frame.boxes_on_picture(_corners(output.pred_boxes[0]))
        scores = output.logits[0].sigmoid().cpu()
        return [
            _from_boxes(picture, boxes, scores[:, number], self.min_score, self._segmenter)
            for number in range(len(prompts))
        ]


class Sam3:
    """SAM 3: masks of every instance that a noun phrase names, and whether there is any."""

    min_score = 0.5
    _TOKENS = 32

    def __init__(self, folder: ModelFolder, class_name: str) -> None:
        self._tokenizer = folder.tokenizer()
        self._model = folder.model(class_name)
        self._device = folder.device
        self._wanted = Preprocessing("stretch", 1008, 1008, *HALF).from_folder(folder.path)

    def find(self, picture: NDArray[np.uint8], prompts: Sequence[str]) -> list[Found]:
        """The picture is encoded once, whatever the number of prompts."""
        pixels, frame = prepare(picture, self._wanted)
        seen = self._model.get_vision_features(pixel_values=pixels.to(self._device))
        return [self._find(seen, frame, prompt) for prompt in prompts]

    def _find(self, seen: Any, frame: Frame, prompt: str) -> Found:
        tokens = self._tokenizer(
            prompt, padding="max_length", truncation=True, max_length=self._TOKENS, return_tensors="pt"
        ).to(self._device)
        output = self._model(vision_embeds=seen, **tokens)
        scores = output.pred_logits[0].sigmoid()
        if output.presence_logits is not None:
            scores = scores * output.presence_logits[0].sigmoid()
        best = scores.max()
        chosen = scores >= torch.minimum(best, torch.tensor(self.min_score, device=scores.device))
        maps = frame.maps_on_picture(output.pred_masks[0][chosen].float().sigmoid().amax(0, keepdim=True))
        return _found(maps[0], float(best))


def load_text_model(folder: ModelFolder, segmenter: Segmenter | None) -> TextModel:
    """The model in a folder, by the family that its config names.

    Raises:
        ModelFileError: An unknown family, or files that cannot be loaded.
    """
    kind = folder.model_type
    if kind == "clipseg":
        return ClipSeg(folder)
    if kind in _GROUNDING_DINO:
        return GroundingDino(folder, _GROUNDING_DINO[kind], segmenter)
    if kind in _OWL:
        return Owl(folder, _OWL[kind], segmenter)
    if kind in _SAM3:
        return Sam3(folder, _SAM3[kind])
    known = ", ".join(("clipseg", *_GROUNDING_DINO, *_OWL, *_SAM3))
    raise ModelFileError(
        f'{folder.path} holds a model of the type "{kind}", which does not find what a text names. Choose one of these '
        f"types: {known}."
    )


_GROUNDING_DINO = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}
_OWL = {"owlv2": "Owlv2ForObjectDetection", "owlvit": "OwlViTForObjectDetection"}
# The published SAM 3 carries the config of its video model.
_SAM3 = {"sam3": "Sam3Model", "sam3_video": "Sam3Model", "sam3_lite_text": "Sam3LiteTextModel"}


def _corners(boxes: Tensor) -> Tensor:
    """Centre x, centre y, width, height -> x0, y0, x1, y1; [N, 4]."""
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    return torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)


def _from_boxes(
    picture: NDArray[np.uint8], boxes: Tensor, scores: Tensor, min_score: float, segmenter: Segmenter | None
) -> Found:
    """The best boxes as masks, or filled where there is no segmenter; the best one alone when none is good enough."""
    best = float(scores.max())
    chosen = scores.topk(min(_MOST_BOXES, len(scores))).indices
    chosen = chosen[scores[chosen] >= min(min_score, best)]
    if segmenter is not None:
        return _found(segmenter.masks(picture, boxes[chosen]).amax(0), best)
    filled = torch.zeros(picture.shape[:2])
    for x0, y0, x1, y1 in boxes[chosen].round().int().tolist():
        filled[y0:y1, x0:x1] = 1.0
    return _found(filled, best)


def _found(relevance: Tensor, score: float) -> Found:
    return Found(relevance.float().cpu().numpy(), score)
