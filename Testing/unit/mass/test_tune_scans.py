"""Cases on the training device: crops to learn from, and the Dice of whole scans."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.mass.preprocessing import MassPreprocessing
from MaskWhatMattersLib.mass.pretrain_config import ViewConfig
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
from MaskWhatMattersLib.mass.tune_scans import TuneScan, TuneScans, scan_dice, tune_scan
from MaskWhatMattersLib.progress import SilentProgress
from tiny_tuning import organ_examples

STILL = ViewConfig(moved=0, share=0)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scan() -> TuneScan:
    (example,) = organ_examples(1)
    return tune_scan(example, example.labels, MassPreprocessing(), 8.0, seed=0)


def test_a_case_is_prepared_as_for_the_network(scan):
    assert scan.masks.shape == (5, *scan.image.shape)
    assert abs(float(scan.image.mean())) < 1e-3
    assert scan.known.all()
    assert all(scan.masks[label, k, j, i] for label, places in enumerate(scan.places) for k, j, i in places)


def test_a_label_that_a_case_lacks_is_unknown_there(scan):
    (example,) = organ_examples(1)
    spleenless = replace(
        example,
        masks=example.masks.with_array(np.delete(example.masks.array, 1, axis=0)),
        labels=tuple(label for label in example.labels if label.name != "spleen"),
    )
    other = tune_scan(spleenless, example.labels, MassPreprocessing(), 8.0, seed=0)
    assert other.known.tolist() == [True, False, True, True, True]
    batch = TuneScans([other], 16, STILL, 0.7, CPU).batch(2, seed=0)
    assert batch.counted.tolist() == [other.known.tolist()] * 2
    assert torch.equal(other.masks[2], scan.masks[2])


def test_crops_belong_to_the_seed(scan):
    scans = TuneScans([scan, scan], 16, MassTuneConfig().view, 0.7, CPU)
    one, again, other = scans.batch(3, 5), scans.batch(3, 5), scans.batch(3, 6)
    assert one.images.shape == (3, 1, 16, 16, 16)
    assert one.masks.shape == (3, 5, 16, 16, 16)
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.masks, again.masks)
    assert not torch.equal(one.images, other.images)


def test_a_crop_of_a_scan_as_large_as_the_window_is_the_scan(scan):
    if set(scan.image.shape) != {16}:
        pytest.skip(f"the phantom was cut to {tuple(scan.image.shape)}")
    batch = TuneScans([scan], 16, STILL, 0.7, CPU).batch(1, seed=0)
    torch.testing.assert_close(batch.images[0, 0], scan.image)
    assert torch.equal(batch.masks[0], scan.masks.bool())


def test_crops_of_a_large_scan_stay_inside_and_hold_a_label():
    masks = torch.zeros(1, 40, 40, 40, dtype=torch.uint8)
    masks[0, 39, 0, 20] = 1
    places = (np.array([[39, 0, 20]]),)
    scan = TuneScan(torch.ones(40, 40, 40), masks, np.array([True]), places)
    scans = TuneScans([scan], 16, STILL, 1.0, CPU)
    for seed in range(5):
        batch = scans.batch(1, seed)
        assert batch.masks.sum() == 1
        torch.testing.assert_close(batch.images, torch.ones(1, 1, 16, 16, 16))


def test_a_perfect_answer_has_a_dice_of_one_and_an_unknown_label_none(scan):
    known = scan._replace(known=np.array([True, True, True, True, False]))
    window = -(-max(scan.image.shape) // 16) * 16
    lacks = [window - side for side in scan.image.shape]
    pads = [width for lack in reversed(lacks) for width in (lack // 2, lack - lack // 2)]
    truth = torch.nn.functional.pad(scan.masks.float(), pads)[None]
    scores = scan_dice(lambda images: 20 * truth - 10, known, window, 0.25, SilentProgress())
    assert scores[:4] == [1.0] * 4
    assert math.isnan(scores[4])


def test_saying_nothing_scores_nothing(scan):
    scores = scan_dice(lambda images: -torch.ones(1, 5, 16, 16, 16), scan, 16, 0.25, SilentProgress())
    assert scores == [0.0] * 5


def test_measuring_stops_when_asked_to(scan):
    class Stops(SilentProgress):
        def step(self, count: int = 1, message: str = "") -> None:
            raise JobCancelledError

    with pytest.raises(JobCancelledError):
        scan_dice(lambda images: images, scan, 16, 0.25, Stops())
