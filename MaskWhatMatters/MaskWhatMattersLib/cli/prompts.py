"""Refuse a prompt or a localizer that cannot work before any image is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MaskWhatMattersLib.errors import InputError, UnknownConceptError
from MaskWhatMattersLib.relevance.concepts import checked_prompt, understand
from MaskWhatMattersLib.relevance.registry import localizer_info
from MaskWhatMattersLib.relevance.sentence_embedding import sentence_similarity

_KNOWS_CONCEPTS_ONLY = ("builtin", "builtin-research")


def check_localizer(localizer: str, *, model: str | None = None, roi: Path | None = None) -> None:
    """See that the localizer exists, has what it needs, and was given what it asks for.

    Args:
        localizer: Registry name.
        model: Its model; its own when None.
        roi: Label map of the user's region.

    Raises:
        InputError: The message names the localizers there are, the packages to install, or the option to add.
    """
    info = localizer_info(localizer)
    if missing := info.missing():
        raise InputError(
            f'The localizer "{info.name}" needs packages that are not installed: {", ".join(missing)}. '
            f"Install them: pip install {' '.join(missing)}."
        )
    if info.needs_roi and roi is None:
        raise InputError(f'The localizer "{info.name}" shows a region of yours: give its label map with --roi FILE.')
    if info.needs_model and model is None:
        raise InputError(f'The localizer "{info.name}" needs a model: give its folder with --model FOLDER.')


def check_prompts(prompts: Sequence[str], localizer: str) -> None:
    """See that every prompt can be read and, where the localizer knows a list of concepts only, understood.

    Raises:
        InputError: A prompt is empty or too long.
        UnknownConceptError: Prompts name no known concept; the message lists all of them with what is nearest.
    """
    problems: list[str] = []
    suggestions: list[str] = []
    for prompt in prompts:
        checked_prompt(prompt)
        if localizer not in _KNOWS_CONCEPTS_ONLY:
            continue
        understanding = understand(prompt)
        if understanding.kind == "unknown":  # only now is it worth loading the sentence encoder
            understanding = understand(prompt, sentence_similarity)
        if understanding.kind == "unknown":
            problems.append(understanding.message)
            suggestions += understanding.suggestions
    if problems:
        raise UnknownConceptError(" ".join(problems), tuple(dict.fromkeys(suggestions)))
