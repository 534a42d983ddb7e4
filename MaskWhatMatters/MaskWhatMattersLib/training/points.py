"""Curves and pictures of a training as lines of text: a job logs them, a panel reads them back. Needs no package."""

from __future__ import annotations

import base64
import binascii
import re

_PREFIX = "point"
_PICTURE = "picture"
_NAME = re.compile(r"[A-Za-z_][\w./-]*")


def format_point(step: int, /, **values: float) -> str:
    """The line for some values at a step, such as `point step=120 total=0.4321 dice=0.81`.

    Raises:
        ValueError: A name that could not be read back.
    """
    wrong = [name for name in values if name == "step" or not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"Names of values are letters, digits and _ . / -, and not step; found {wrong}. Rename them.")
    return " ".join([_PREFIX, f"step={step}", *(f"{name}={float(value):.6g}" for name, value in values.items())])


def parse_point(text: str) -> tuple[int, dict[str, float]] | None:
    """Step and values of a line that `format_point` made; None for any other line."""
    prefix, *pairs = text.split() or [""]
    if prefix != _PREFIX or not pairs:
        return None
    try:
        named = dict(pair.split("=") for pair in pairs)
        return int(named.pop("step")), {name: float(value) for name, value in named.items()}
    except (KeyError, ValueError):
        return None


def format_picture(step: int, png: bytes) -> str:
    """The line for a picture at a step; it travels with the log, so that a worker elsewhere can show it, too."""
    return f"{_PICTURE} step={step} png={base64.b64encode(png).decode('ascii')}"


def parse_picture(text: str) -> tuple[int, bytes] | None:
    """Step and PNG of a line that `format_picture` made; None for any other line."""
    match = re.fullmatch(rf"{_PICTURE} step=(\d+) png=([A-Za-z0-9+/=]+)", text)
    if match is None:
        return None
    try:
        return int(match[1]), base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        return None
