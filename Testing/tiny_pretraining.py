"""Tiny settings of every method of pretraining."""

from __future__ import annotations

from MaskWhatMattersLib.pretraining.config import PretrainConfig

VIT = {"kind": "vit", "spatial_dims": 2, "image_size": [32, 32], "patch_size": [8, 8], "width": 8, "depth": 1}
CONV = {"kind": "residual", "spatial_dims": 2, "widths": [4, 4, 8, 8], "blocks": [1, 1, 1, 1]}


def tiny(method="mae", **changes):
    """Settings of a pretraining that takes milliseconds per step."""
    values = {
        "method": method,
        "encoder": VIT | {"heads": 2} if method in ("mae", "simmim") else CONV | {"normalization": "batch"},
        "decoder": {"depth": 1, "width": 8, "heads": 2},
        "preprocessing": {"spatial_dims": 2, "longest_side": 40},
        "size": [32, 32],
        "batch_size": 4,
        "steps": 4,
        "log_every": 1,
        "save_every": 2,
        "picture_every": 2,
        "precision": "fp32",
        "learning_rate": 0.01,
    }
    return PretrainConfig.model_validate(values | changes)
