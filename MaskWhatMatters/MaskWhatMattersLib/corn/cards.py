"""What the cards of left atrium models have in common: labels with their codes, and the set that ours learned from."""

from __future__ import annotations

from MaskWhatMattersLib.models import Code, Label, TrainingData

FINDER_ARCHITECTURE = "atrium-finder-vnet"
"""`ModelCard.architecture` of a file that finds the atrium in a full field of view."""

LABELS = (
    Label(
        value=1,
        name="Left atrium",
        category=Code(scheme="SCT", value="123037004", meaning="Anatomical Structure"),
        type=Code(scheme="SCT", value="82471001", meaning="Left atrium"),
    ),
)
"""What the networks mark: the cavity, with its wall excluded."""


def left_atrium_data(cases: int) -> TrainingData:
    """The public set of 2018 in its usual preprocessing, of which so many scans were used."""
    return TrainingData(
        name="2018 Atrial Segmentation Challenge, as preprocessed by UA-MT",
        licence="Challenge data for research; no licence file",
        research_only=True,
        url="https://www.cardiacatlas.org/atriaseg2018-challenge/",
        cases=cases,
    )
