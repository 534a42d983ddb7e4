"""Settings to start from: fast on any computer, as in the papers, and the best that is known today."""

from __future__ import annotations

from typing import Any, Literal

from MaskWhatMattersLib.finetuning.config import TaskName
from MaskWhatMattersLib.pretraining.presets import Preset
from MaskWhatMattersLib.pretraining.presets import preset as pretraining_preset

EncoderKind = Literal["vit", "resnet", "residual"]

OF_ENCODER = ("encoder", "preprocessing", "size")
"""What a start model brings along."""
_OTHER_SCANNERS = {
    "quarter_turns": False,
    "flips": False,
    "rotation_deg": 15.0,
    "zoom": 1.2,
    "gamma": 0.3,
    "contrast": 0.2,
    "brightness": 0.2,
    "noise": 0.1,
    "blur": 0.2,
}
_FLIPS = {"quarter_turns": False, "flips": True}
_FAST_EVERY = {"log_every": 5, "validate_every": 100, "save_every": 100}


def preset(
    name: Preset, task: TaskName, dims: Literal[2, 3] | None = None, kind: EncoderKind | None = None
) -> dict[str, Any]:
    """Fields of `FinetuneConfig`.

    Encoder, preprocessing and size are those of the pretraining preset of the same name: SparK's, but for "paper" in
    3D MAE's. "paper" follows: classification, Mask What Matters' fine-tuning (arXiv:2509.23054) without mixup and
    automatic augmentation, 100 epochs of 25,600 images; detection, its schedule with our head; segmentation in 3D,
    arXiv:2204.11716, 3,000 epochs of 24 volumes; what no paper of ours has is as in "best". "best" takes warm-up and
    layer-wise decay for transformers, and the sawtooth (arXiv:2412.17041) for convolutional encoders. Batch sizes are
    those of one process.

    Args:
        name: Which.
        task: What is learned.
        dims: None: 2 for detection, else 3.
        kind: Of the encoder of the start model; None: there is none.
    """
    dims = dims or (2 if task == "detection" else 3)
    paper_vit = name == "paper" and dims == 3
    below = pretraining_preset(name, "mae" if paper_vit else "spark", dims)
    found = {field: below[field] for field in OF_ENCODER}
    if task == "detection" and name != "fast":
        side = 512 if name == "paper" else 384
        found |= {"preprocessing": {"spatial_dims": 2, "longest_side": side}, "size": [side, side]}
    if kind is None:
        kind = found["encoder"]["kind"]
    recipe = {"fast": _fast, "paper": _paper, "best": _best}[name](task, dims, kind)
    return {"task": task, **found, **recipe}


def _fast(task: TaskName, dims: int, kind: EncoderKind | None) -> dict[str, Any]:
    """Minutes on a processor."""
    return {
        "augment": {"quarter_turns": False, "flips": False, "brightness": 0.1, "contrast": 0.1},
        "batch_size": {"classification": 32, "detection": 8, "segmentation": 8}[task] if dims == 2 else 2,
        "steps": 1_000,
        "learning_rate": 5e-4 if kind == "vit" else 1e-3,
        "layer_decay": 0.75 if kind == "vit" else 0.9,
        "warmup": 0.1,
        **_FAST_EVERY,
    }


def _paper(task: TaskName, dims: int, kind: EncoderKind | None) -> dict[str, Any]:
    if task == "classification" and dims == 2:
        return {
            "augment": _FLIPS,
            "optimizer": "lamb",
            "batch_size": 256,
            "steps": 10_000,
            "learning_rate": 2e-3,
            "layer_decay": 0.7,
            "weight_decay": 0.02,
            "head": {"label_smoothing": 0.1},
        }
    if task == "detection":
        return {
            "augment": _FLIPS,
            "batch_size": 2,
            "steps": 90_000,
            "learning_rate": 2.5e-4,
            "layer_decay": 0.6,
            "weight_decay": 1e-4,
            "warmup": 1 / 90,
            "validate_every": 5_000,
            "save_every": 1_000,
        }
    if task == "segmentation" and dims == 3:
        return {
            "augment": {**_FLIPS, "brightness": 0.1},
            "head": {"features": 16},
            "batch_size": 16,
            "steps": 18_000,
            "learning_rate": 3e-4,
            "layer_decay": 1.0,
            "weight_decay": 0.05,
            "warmup": 0.1,
            "floor": 1 / 3,
        }
    return _best(task, dims, kind)


def _best(task: TaskName, dims: int, kind: EncoderKind | None) -> dict[str, Any]:
    common: dict[str, Any] = {
        "augment": _OTHER_SCANNERS,
        "batch_size": {"classification": 64, "detection": 8, "segmentation": 32}[task] if dims == 2 else 4,
        "steps": 20_000 if dims == 2 else 40_000,
        "validate_every": 500,
        "save_every": 500,
    }
    if kind == "vit":
        return {**common, "learning_rate": 1e-4, "layer_decay": 0.75, "warmup": 0.05}
    slower = {"learning_rate": 3e-4, "layer_decay": 1.0, "schedule": "sawtooth", "warmup": 0.05, "clip": 12.0}
    return {**common, **slower}
