"""Images to learn from."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.prepare_images import IN_REGION, VALID, PreparedImages


@pytest.fixture
def images():
    """Six pictures with a bright square that is the region, and a last column of invalid voxels."""
    generator = torch.Generator().manual_seed(0)
    pictures, marks = [], []
    for place in range(6):
        picture = torch.randint(60, (40, 36), generator=generator).to(torch.uint8)
        picture[place : place + 12, 8:20] += 150
        mark = torch.full((40, 36), VALID, dtype=torch.uint8)
        mark[place : place + 12, 8:20] |= IN_REGION
        mark[:, -1] = 0
        pictures.append(picture)
        marks.append(mark)
    names = tuple(f"picture{place}" for place in range(6))
    cases = tuple(ImageCase(name, None, name) for name in names)
    return PreparedImages(tuple(pictures), tuple(marks), names, cases)
