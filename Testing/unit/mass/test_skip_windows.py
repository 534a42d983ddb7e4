"""A coarse look leaves out windows where nothing is, and none where something may be."""

from __future__ import annotations

import torch

from MaskWhatMattersLib.mass.skip_windows import is_worth_it, look_from_afar, to_fine, windows_to_look_at
from MaskWhatMattersLib.mass.windows import blended, padded, windows_over
from MaskWhatMattersLib.progress import SilentProgress

WINDOW = 16


def bright(images: torch.Tensor) -> torch.Tensor:
    """One label: where the image is bright."""
    return (20 * (images - 0.5)).sigmoid()


def scan() -> torch.Tensor:
    """Dark, with a bright block near one end."""
    image = torch.zeros(33, 40, 90)
    image[10:20, 12:22, 4:14] = 1
    return image


def test_a_coarse_look_pays_only_on_large_scans() -> None:
    assert not is_worth_it((16, 16, 16), WINDOW, 0.5)
    assert not is_worth_it((16, 16, 24), WINDOW, 0.5)
    assert is_worth_it((40, 40, 40), WINDOW, 0.5)


def test_a_coarse_voxel_is_the_mean_of_eight() -> None:
    coarse = look_from_afar(lambda images: images, scan(), 1, WINDOW, 0.5, SilentProgress())
    assert coarse.shape == (1, 17, 20, 45)
    assert coarse[0, 5:10, 6:11, 2:7].min() > 0.999
    torch.testing.assert_close(coarse.sum() * 8, scan().sum(), rtol=1e-4, atol=0)


def test_only_windows_near_the_structure_stay_and_the_result_is_the_same() -> None:
    image = scan()
    whole, inside = padded(image, WINDOW)
    windows = windows_over(whole.shape, WINDOW, 0.5)
    coarse = look_from_afar(bright, image, 1, WINDOW, 0.5, SilentProgress())
    kept = windows_to_look_at(windows, coarse, inside, spacing_mm=4.0)
    assert 0 < len(kept) < len(windows) / 2
    every, few = (blended(bright, whole, each, 1, SilentProgress()) for each in (windows, kept))
    torch.testing.assert_close(few[:, 5:25, 7:27, :19], every[:, 5:25, 7:27, :19])
    assert not (few[..., 40:] > 0).any()


def test_every_window_stays_for_a_label_that_the_coarse_look_misses() -> None:
    image = scan()
    whole, inside = padded(image, WINDOW)
    windows = windows_over(whole.shape, WINDOW, 0.5)
    coarse = look_from_afar(bright, image, 1, WINDOW, 0.5, SilentProgress())
    both = torch.cat([coarse, torch.zeros_like(coarse)])
    assert windows_to_look_at(windows, both, inside, spacing_mm=4.0) == windows


def test_windows_of_a_padded_scan_are_placed_on_the_scan() -> None:
    image = torch.zeros(6, 16, 60)
    image[:, 4:8, 2:7] = 1
    whole, inside = padded(image, WINDOW)
    coarse = look_from_afar(bright, image, 1, WINDOW, 0.5, SilentProgress())
    kept = windows_to_look_at(windows_over(whole.shape, WINDOW, 0.5), coarse, inside, spacing_mm=20.0)
    assert [window[2].start for window in kept] == [0, 8]


def test_coarse_voxels_come_back_to_where_they_were() -> None:
    image = scan()
    coarse = look_from_afar(bright, image, 1, WINDOW, 0.5, SilentProgress())
    fine = to_fine(coarse, image.shape)
    assert fine.shape == (1, *image.shape)
    found = (fine[0] > 0.5).nonzero().float().mean(0)
    torch.testing.assert_close(found, torch.tensor([14.5, 16.5, 8.5]), atol=0.6, rtol=0)
