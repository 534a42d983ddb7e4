"""What a pretraining shows of an episode."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from MaskWhatMattersLib.mass.episodes import Episodes
from MaskWhatMattersLib.mass.pretrain_picture import episode_png


def test_reference_truth_and_prediction_lie_side_by_side_with_outlines():
    masks = torch.zeros(1, 2, 16, 16, 16, dtype=torch.bool)
    masks[:, 0] = True  # the whole field shows nothing
    masks[:, 1, 4:8, 2:8, 2:8] = True
    image = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    logits = torch.full((1, 2, 16, 16, 16), -1.0)
    png = episode_png(Episodes(image, image, masks, masks, torch.ones(1, 2, dtype=torch.bool)), logits)
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    reference, truth, found = pixels[:, :192], pixels[:, 200:392], pixels[:, 400:592]
    coloured = [int((panel.max(2) != panel.min(2)).sum()) for panel in (reference, truth, found)]
    assert coloured[0] == coloured[1] > 0
    assert coloured[2] == 0
    assert (truth.max(2) != truth.min(2))[96:].sum() > (truth.max(2) != truth.min(2))[:96].sum()
