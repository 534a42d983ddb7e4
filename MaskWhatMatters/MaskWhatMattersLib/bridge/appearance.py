"""Colour and terminology of an answer: the concept's own where it has them, a steady palette otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from MaskWhatMattersLib.bridge.segmentations import Color, terminology_tag

# Told apart by people with the common kinds of colour blindness, and against grey (Okabe and Ito's set, reordered).
_PALETTE: tuple[Color, ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.94, 0.89, 0.26),
    (0.84, 0.37, 0.00),
)
_LEFT_LIGHTER = 0.4


@dataclass(frozen=True)
class Appearance:
    """How a segment looks and what it is called in the terminology."""

    color: Color
    terminology: str | None


def appearance_of(concept_name: str | None, index: int) -> Appearance:
    """Appearance of a concept; `index` picks a colour where the concept is not in our table."""
    from MaskWhatMattersLib.relevance.concepts import load_concepts

    concept = load_concepts().get(concept_name) if concept_name else None
    if concept is None:
        return Appearance(_PALETTE[index % len(_PALETTE)], None)
    # Halves of a pair share a colour in Slicer's table, and side by side nobody could tell them apart.
    lighter = _LEFT_LIGHTER if concept.name.startswith("left ") else 0.0
    red, green, blue = (channel / 255.0 for channel in concept.colour_rgb)
    color = (red + lighter * (1 - red), green + lighter * (1 - green), blue + lighter * (1 - blue))
    return Appearance(color, terminology_tag(*concept.terminology))
