"""How images are prepared for a model, as its card tells it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from MaskWhatMattersLib.datasets.image_preprocessing import ImagePreprocessing
from MaskWhatMattersLib.training.runs import MODEL_FILE


class CardPreprocessing(BaseModel):
    """`ModelCard.preprocessing` of a pretrained or finetuned model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: ImagePreprocessing
    size: tuple[int, ...]


def model_in(model: str | Path) -> str | Path:
    """The model file of a training's folder; anything else as it is."""
    file = Path(model) / MODEL_FILE
    return file if file.is_file() else model
