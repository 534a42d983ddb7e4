"""Settings to start from: fast on any computer, as in the papers, and the best that is known today."""

from __future__ import annotations

from typing import Any, Literal

from MaskWhatMattersLib.pretraining.config import Method

Preset = Literal["fast", "paper", "best"]

_FLIP_2D = {"quarter_turns": False, "flips": True}
_PLAIN = {"quarter_turns": False, "flips": False}
_VIEWS = {
    "quarter_turns": False,
    "flips": True,
    "rotation_deg": 15.0,
    "zoom": 1.25,
    "gamma": 0.5,
    "contrast": 0.4,
    "brightness": 0.4,
    "blur": 0.5,
    "noise": 0.1,
}
_CT_MM = [1.5, 1.5, 2.0]


def preset(name: Preset, method: Method | None = None, dims: Literal[2, 3] | None = None) -> dict[str, Any]:
    """Fields of `PretrainConfig`.

    "paper" follows: SparK in 2D, Mask What Matters (arXiv:2509.23054) without its ImageNet start; SparK in 3D,
    arXiv:2410.23132 with AdamW instead of SGD; MAE and SimMIM in 2D, arXiv:2111.06377; in 3D, arXiv:2204.11716; SimCLR
    (arXiv:2002.05709) with the encoder and schedule of the others. Batch sizes are those of one process.

    Args:
        name: Which.
        method: None: SparK in 2D, MAE in 3D.
        dims: None: 3.
    """
    dims = dims or 3
    method = method or ("spark" if dims == 2 else "mae")
    found = {"fast": _fast, "paper": _paper, "best": _best}[name](method, dims)
    return {"method": method, **found}


def _fast(method: str, dims: int) -> dict[str, Any]:
    """Minutes on a processor: small images, small networks."""
    side = 128 if dims == 2 else 64
    common: dict[str, Any] = {
        "preprocessing": {"spatial_dims": dims, "longest_side": side, "spacing_mm": [2.0, 2.0, 2.0]},
        "size": [side] * dims,
        "augment": _VIEWS if method == "simclr" else _FLIP_2D if dims == 2 else _PLAIN,
        "batch_size": 16 if dims == 2 else 8,
        "steps": 1_000,
        "learning_rate": 5e-4,
        "masking": {"ratio": 0.6 if method == "spark" else 0.75},
        "log_every": 5,
        "picture_every": 50,
        "save_every": 100,
    }
    if method in ("mae", "simmim"):
        encoder = _vit(dims, side, 8, width=192, depth=6, heads=3)
        return {**common, "encoder": encoder, "decoder": {"depth": 1, "width": 96, "heads": 3}}
    widths = [16, 32, 64, 128, 192] if dims == 2 else [8, 16, 32, 64, 128]
    encoder = {"kind": "residual", "spatial_dims": dims, "widths": widths, "blocks": [1] * 5, "normalization": "batch"}
    return {**common, "encoder": encoder, "decoder": {"width": 64}}


def _paper(method: str, dims: int) -> dict[str, Any]:
    if dims == 2:
        return _paper_2d(method)
    common: dict[str, Any] = {"preprocessing": {"spatial_dims": 3, "spacing_mm": _CT_MM}, "augment": _PLAIN}
    if method == "spark":
        return {
            **common,
            "preprocessing": {"spatial_dims": 3, "spacing_mm": [1.0, 1.0, 1.0]},
            "encoder": {"kind": "residual", "spatial_dims": 3},
            "decoder": {"width": 320},
            "size": [160, 160, 160],
            "masking": {"ratio": 0.75},
            "augment": {"quarter_turns": False, "flips": True},
            "batch_size": 8,
            "steps": 250_000,
            "learning_rate": 3e-4,
            "clip": 12.0,
        }
    if method == "simclr":
        encoder = _vit(3, 96, 16)
        return {**common, "encoder": encoder, "augment": _VIEWS, "size": [96] * 3, "epochs": 3_000}
    mae: dict[str, Any] = {
        **common,
        "encoder": {**_vit(3, 96, 16), "position": "learned"},
        "decoder": {"depth": 8, "width": 512, "heads": 8},
        "target": {"normalized": False, "norm": "l1"},
        "size": [96] * 3,
        "masking": {"ratio": 0.75},
        "batch_size": 16,
        "epochs": 12_000,  # 3,000 passes with four crops per volume
        "learning_rate": 3e-4,
        "warmup": 0.1,
        "floor": 1 / 3,
        "clip": 0.0,
    }
    if method == "simmim":  # constant after the warm-up
        mae |= {"learning_rate": 1e-4, "weight_decay": 1e-5, "warmup": 50 / 3000, "floor": 1.0}
    return mae


def _paper_2d(method: str) -> dict[str, Any]:
    common: dict[str, Any] = {
        "preprocessing": {"spatial_dims": 2, "longest_side": 224},
        "size": [224, 224],
        "augment": _VIEWS if method == "simclr" else _FLIP_2D,
        "batch_size": 128,
        "epochs": 500,
        "warmup": 40 / 500,
    }
    if method in ("mae", "simmim"):
        decoder = {"depth": 8, "width": 512, "heads": 16}
        masking = {"ratio": 0.75 if method == "mae" else 0.6}
        return {
            **common,
            "encoder": _vit(2, 224, 16),
            "decoder": decoder,
            "masking": masking,
            "learning_rate": 1.5e-4 * 128 / 256,
            "floor": 0.0,
        }
    return {
        **common,
        "encoder": {"kind": "resnet"},
        "decoder": {"width": 768},
        "optimizer": "lamb",
        "learning_rate": 1e-4,
        "weight_decay": 0.04,
        "weight_decay_end": 0.2,
        "floor": 0.001,
        "masking": {"ratio": 0.6, "rule": "nearest"},
    }


def _best(method: str, dims: int) -> dict[str, Any]:
    """Small patches and a light decoder for transformers, a full-size residual encoder for SparK."""
    if dims == 2:
        small_lesions = {"ratio": 0.6, "rule": "area"}
        changed: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 3e-4, "weight_decay": 0.05, "warmup": 0.05}
        if method in ("mae", "simmim"):
            changed |= {"decoder": {"depth": 2, "width": 384, "heads": 6}}
            return {**_paper_2d(method), **changed}
        return {**_paper_2d(method), **changed, "weight_decay_end": None, "masking": small_lesions}
    common: dict[str, Any] = {
        "preprocessing": {"spatial_dims": 3, "spacing_mm": _CT_MM},
        "size": [96] * 3,
        "augment": _VIEWS if method == "simclr" else {"quarter_turns": False, "flips": True},
        "steps": 100_000,
        "learning_rate": 3e-4,
        "warmup": 0.05,
        "masking": {"ratio": 0.75},
    }
    if method in ("mae", "simmim"):
        encoder = {**_vit(3, 96, 8), "drop_path": 0.1}
        return {**common, "encoder": encoder, "decoder": {"depth": 2, "width": 384, "heads": 6}, "batch_size": 32}
    # One stage less than in the paper: 216 tokens at this size instead of 27.
    encoder = {"kind": "residual", "widths": [32, 64, 128, 256, 320], "blocks": [1, 3, 4, 6, 6]}
    return {**common, "encoder": encoder, "decoder": {"width": 320}, "batch_size": 8}


def _vit(dims: int, side: int, patch: int, *, width: int = 768, depth: int = 12, heads: int = 12) -> dict[str, Any]:
    return {
        "kind": "vit",
        "spatial_dims": dims,
        "image_size": [side] * dims,
        "patch_size": [patch] * dims,
        "width": width,
        "depth": depth,
        "heads": heads,
    }
