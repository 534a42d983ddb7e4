"""What is tried when memory runs out."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.means import Means, portion_rungs
from MaskWhatMattersLib.training.resources import OutOfMemoryLadder


def test_batches_are_taken_in_more_and_more_portions():
    tried = []

    def work(means):
        tried.append(means)
        if means.portions < 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return means.portions

    assert OutOfMemoryLadder(portion_rungs("cpu", (2, 4)), SilentProgress()).run(work) == 4
    assert tried == [Means("cpu"), Means("cpu", 2), Means("cpu", 4)]
