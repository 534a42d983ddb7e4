"""What the tab "Pretrain" says in plain words, as the settings that the jobs take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from MaskWhatMattersLib.errors import InputError

METHODS = ("mae", "spark", "simmim", "simclr")
PRESETS = ("fast", "paper", "best")
HIDES_NOTHING = "simclr"
"""Compares two views of an image instead."""

ADVISED_RATIO = {"mae": 0.75, "spark": 0.6, "simmim": 0.6, "simclr": 0.6}
"""Hidden share where nothing is relevant, by method."""

_LIVE = {"log_every": 5, "picture_every": 50}
"""Steps between points of the curve and between pictures: someone watches."""


PACKAGES = ("torch", "monai", "safetensors", "lightning_fabric")
"""Import names of what pretraining needs, beside what every job needs."""


def masking_config(
    method: str,
    prompts: Sequence[str] = (),
    *,
    inside: float = 0.6,
    outside: float = 0.2,
    ratio: float | None = None,
    equalBudget: bool = False,
    localizer: str = "builtin",
    marginMm: float = 0.0,
) -> dict[str, Any]:
    """Fields of `PretrainConfig` for what is hidden; named as the module's logic does.

    Args:
        method: One of `METHODS`.
        prompts: What matters; none hides at random.
        inside: Hidden share of what matters, 0..1.
        outside: Hidden share of the rest, 0..1.
        ratio: Hidden share at random, and of every image with `equalBudget`; None as advised.
        equalBudget: Hide the same share of every image.
        localizer: Who finds the prompts.
        marginMm: Widens the box around what is found.

    Raises:
        InputError: Shares that hide nothing or everything.
    """
    shares = {"inside": inside, "outside": outside, "ratio": ADVISED_RATIO[method] if ratio is None else ratio}
    wrong = [f"{name} is {share}" for name, share in shares.items() if not 0 <= share <= 1]
    if wrong:
        raise InputError(f"Hidden shares are from 0 to 1; {', '.join(wrong)}. Correct them.")
    if method == HIDES_NOTHING:
        return {}
    if not prompts or equalBudget:
        _require_some(shares["ratio"], shares["ratio"])
    if not prompts:
        return {"masking": {"kind": "random", "ratio": shares["ratio"]}}
    _require_some(inside, outside)
    masking = {"kind": "relevance", "inside": inside, "outside": outside, "equal_budget": equalBudget}
    if equalBudget:
        masking["ratio"] = shares["ratio"]
    region = {"source": "prompts", "prompts": list(prompts), "localizer": localizer, "expand_mm": marginMm}
    return {"masking": masking, "region": region}


def required_packages(method: str, dims: int, preset: str) -> tuple[str, ...]:
    """Import names of what a pretraining needs on the computer that learns; large 2D networks are from transformers."""
    is_resnet = dims == 2 and method in ("spark", "simclr") and preset != "fast"
    return (*PACKAGES, "transformers") if is_resnet else PACKAGES


def training_settings(
    method: str | None,
    preset: str | None,
    dims: int | None,
    minutes: float | None,
    device: str,
    masking: Mapping[str, Any],
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What pretraining and estimate take alike.

    Args:
        method: One of `METHODS`; None takes that of the preset.
        preset: One of `PRESETS`; None takes the defaults of `PretrainConfig`.
        dims: 2 or 3.
        minutes: Budget for the steps.
        device: "auto", "cpu", "cuda" or "mps".
        masking: From `masking_config`.
        config: Fields of `PretrainConfig` on top.

    Raises:
        InputError: All that is wrong, together.
    """
    problems = []
    if method is not None and method not in METHODS:
        problems.append(f'There is no method "{method}". Choose one of {", ".join(METHODS)}.')
    if preset is not None and preset not in PRESETS:
        problems.append(f'There is no preset "{preset}". Choose one of {", ".join(PRESETS)}.')
    if dims not in (None, 2, 3):
        problems.append(f"Images have 2 or 3 dimensions; found {dims}.")
    if minutes is not None and not minutes > 0:
        problems.append(f"The budget must be more than 0 minutes; found {minutes}. Give a larger one, or none.")
    if problems:
        raise InputError("\n".join(problems))
    from MaskWhatMattersLib.config_files import merged  # needs pydantic

    return {
        "method": method,
        "preset": preset,
        "dims": dims,
        "minutes": minutes,
        "device": device,
        "config": merged(masking, config or {}),
    }


def clean_prompts(text: str | Iterable[str]) -> tuple[str, ...]:
    """Prompts without surrounding space, empty lines and repetitions; none is fine."""
    lines = text.splitlines() if isinstance(text, str) else text
    return tuple(dict.fromkeys(stripped for line in lines if (stripped := line.strip())))


def console_settings(
    prompts: str | Sequence[str],
    *,
    method: str,
    preset: str | None,
    dims: int,
    minutes: float | None = None,
    device: str = "auto",
    config: Mapping[str, Any] | None = None,
    **masking: Any,
) -> dict[str, Any]:
    """What the functions of the module's logic take, as settings.

    Raises:
        InputError: Something of it cannot be used.
    """
    if method not in METHODS:
        raise InputError(f'There is no method "{method}". Choose one of {", ".join(METHODS)}.')
    hidden = masking_config(method, clean_prompts(prompts), **masking)
    return training_settings(method, preset, dims, minutes, device, hidden, config)


def with_live(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training that somebody watches."""
    return {**_LIVE, **config}


def _require_some(inside: float, outside: float) -> None:
    if inside == outside == 0:
        raise InputError("Nothing would be hidden, so there is nothing to learn. Raise a hidden share.")
    if inside == outside == 1:
        raise InputError("Everything would be hidden, so there is nothing to learn from. Lower a hidden share.")
