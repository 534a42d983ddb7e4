"""The library against the method as it is described, step by step (`benchmarks/_mass_literal.py`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks._mass_literal import LiteralMass
from MaskWhatMattersLib.mass.examples import example_from_label_map
from MaskWhatMattersLib.mass.retrieval import mean_tokens
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.settings import SegmentSettings
from mass_phantoms import organ_subject
from tiny_mass import tiny_mass

SHAPE, SPACING_MM, OVERLAP = (40, 48, 44), 4.0, 0.25


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> InContextSegmenter:
    return InContextSegmenter.load(tiny_mass(tmp_path_factory.mktemp("model"), spacing_mm=SPACING_MM), "cpu")


@pytest.fixture(scope="module")
def literal(segmenter) -> LiteralMass:
    return LiteralMass(segmenter.network, segmenter.preprocessing, SPACING_MM)


@pytest.fixture(scope="module")
def examples():
    return [example_from_label_map(*organ_subject(seed, SHAPE, (SPACING_MM,) * 3)) for seed in (1, 2)]


def test_tokens_and_probabilities_are_those_of_the_literal_method(segmenter, literal, examples):
    volume = organ_subject(0, SHAPE, (SPACING_MM,) * 3)[0]
    task = segmenter.encode(examples, spacing_mm=SPACING_MM)
    slow = literal.encode(examples)
    for fast, wanted in zip(
        mean_tokens([torch.from_numpy(each) for each in task.tokens], task.present), slow, strict=True
    ):
        torch.testing.assert_close(fast, wanted, atol=1e-3, rtol=1e-3)
    settings = SegmentSettings(
        overlap=OVERLAP, skip_empty=False, retrieval=False, quality=False, keep_probabilities=True
    )
    found = segmenter.segment(volume, task, settings)
    assert found.windows > 4
    difference = np.abs(found.probabilities.array - literal.segment(volume, slow, OVERLAP))
    assert difference.max() < 1e-4
    assert found.probabilities.array.std() > 1e-3
