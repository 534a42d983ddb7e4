"""One line of text per point of a training's curves: a job logs it, a chart reads it back. Needs no other package."""

from __future__ import annotations

import re

_PREFIX = "point"
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
