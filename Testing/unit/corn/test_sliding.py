"""Windows and tiles against a literal loop."""

from __future__ import annotations

import itertools

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from MaskWhatMattersLib.corn.sliding import SlidingWindow, slide, whole_pass
from MaskWhatMattersLib.progress import SilentProgress


class Counter(SilentProgress):
    def __init__(self) -> None:
        self.steps = 0

    def step(self, count: int = 1, message: str = "") -> None:
        self.steps += count


def window_dependent(windows: Tensor) -> Tensor:
    """An answer that depends on where in its window a voxel is."""
    ramp = torch.arange(windows[0, 0].numel(), dtype=torch.float32).reshape(windows.shape[2:])
    return torch.cat((windows + ramp, windows * 2), dim=1)


def literal(image: Tensor, settings: SlidingWindow) -> Tensor:
    """The published protocol, one window after the other."""
    shape = image.shape[2:]
    starts = []
    for side, window, step in zip(shape, settings.window, settings.stride, strict=True):
        row, first = [], 0
        while True:
            row.append(min(first, side - window))
            if first + window >= side:
                break
            first += step
        starts.append(row)
    total, count = torch.zeros(1, 2, *shape), torch.zeros(shape)
    for corner in itertools.product(*starts):
        place = tuple(slice(first, first + side) for first, side in zip(corner, settings.window, strict=True))
        total[(slice(None), slice(None), *place)] += window_dependent(image[(slice(None), slice(None), *place)])
        count[place] += 1
    return total / count


@pytest.mark.parametrize("stride", [(1, 2, 3), (3, 5, 7), (4, 6, 8), (2, 6, 3)])
@pytest.mark.parametrize("shape", [(4, 6, 8), (9, 11, 13), (8, 6, 21)])
def test_windows_lie_and_count_as_in_the_published_protocol(stride: tuple[int, ...], shape: tuple[int, ...]) -> None:
    settings, image = SlidingWindow(window=(4, 6, 8), stride=stride), torch.randn(1, 1, *shape)
    torch.testing.assert_close(slide(window_dependent, image, settings), literal(image, settings), atol=1e-3, rtol=1e-5)


def test_the_protocols_strides_are_hit_in_spite_of_rounding() -> None:
    for window, step in ((112, 18), (80, 4), (56, 9), (40, 2), (96, 1), (7, 7)):
        settings = SlidingWindow(window=(1, 1, window), stride=(1, 1, step), batch=1)
        firsts: list[float] = []

        def note(windows: Tensor, firsts: list[float] = firsts) -> Tensor:
            firsts.extend(windows[:, 0, 0, 0, 0].tolist())
            return windows

        side = window + 3 * step
        slide(note, torch.arange(side, dtype=torch.float32).reshape(1, 1, 1, 1, side), settings)
        assert firsts == [0, step, 2 * step, 3 * step]


def test_every_window_is_reported_and_counted_before() -> None:
    settings, progress = SlidingWindow(window=(4, 6, 8), stride=(3, 5, 7)), Counter()
    slide(window_dependent, torch.zeros(1, 1, 9, 11, 13), settings, progress)
    assert progress.steps == settings.count((9, 11, 13)) == 3 * 2 * 2


def test_a_scan_smaller_than_the_window_is_padded_with_zeros() -> None:
    sums: list[float] = []

    def note(windows: Tensor) -> Tensor:
        assert windows.shape[2:] == (8, 8, 8)
        sums.append(float(windows.sum()))
        return windows

    image = torch.ones(1, 1, 5, 8, 7)
    answer = slide(note, image, SlidingWindow(window=(8, 8, 8), stride=(4, 4, 4)))
    torch.testing.assert_close(answer, image)
    assert sums == [5 * 8 * 7]


def test_gaussian_weights_prefer_the_middle_of_a_window() -> None:
    def border_is_one(windows: Tensor) -> Tensor:
        answer = torch.ones_like(windows)
        answer[..., 2:-2] = 0
        return answer

    image = torch.zeros(1, 1, 8, 8, 12)
    uniform = SlidingWindow(window=(8, 8, 8), stride=(4, 4, 4))
    gaussian = uniform.model_copy(update={"weights": "gaussian"})
    means = [float(slide(border_is_one, image, each)[..., 4:8].mean()) for each in (gaussian, uniform)]
    assert means[0] < means[1] - 0.1


@pytest.mark.parametrize("stride", [(0, 4, 4), (9, 4, 4)])
def test_a_stride_that_leaves_gaps_is_refused(stride: tuple[int, int, int]) -> None:
    with pytest.raises(ValidationError, match="each stride"):
        SlidingWindow(window=(8, 8, 8), stride=stride)


def blur(images: Tensor) -> Tensor:
    """A network that sees four voxels far and pools pairs of voxels."""
    kernel = torch.ones(1, 1, 3, 3, 3) / 27
    for _ in range(3):
        images = functional.conv3d(images, kernel, padding=1)
    return functional.interpolate(functional.avg_pool3d(images, 2), scale_factor=2)


def test_one_pass_repeats_the_border_up_to_a_multiple_of_the_divisor() -> None:
    shapes: list[tuple[int, ...]] = []

    def note(images: Tensor) -> Tensor:
        shapes.append(tuple(images.shape[2:]))
        assert images[0, 0, -1, -1, -1] == image[0, 0, -1, -1, -1]
        return images

    image = torch.randn(1, 1, 5, 8, 9)
    torch.testing.assert_close(whole_pass(note, image, 4, 10_000), image)
    assert shapes == [(8, 8, 12)]


def test_tiles_with_a_wide_halo_equal_one_pass() -> None:
    image, progress = torch.randn(1, 1, 6, 10, 203), Counter()
    wanted = whole_pass(blur, image, 2, 10**9)
    found = whole_pass(blur, image, 2, 6 * 10 * 120, progress)
    assert progress.steps == 4
    torch.testing.assert_close(found[..., 1:-1], wanted[..., 1:-1])


def test_tiles_stay_below_the_limit_where_the_halo_allows_it() -> None:
    sizes: list[int] = []

    def note(images: Tensor) -> Tensor:
        sizes.append(images.numel())
        return images

    image = torch.randn(1, 1, 10, 150, 203)
    torch.testing.assert_close(whole_pass(note, image, 8, 16 * 130 * 130), image)
    assert max(sizes) <= 16 * 130 * 130


def test_what_cannot_be_cut_is_done_at_once() -> None:
    progress = Counter()
    whole_pass(blur, torch.randn(1, 1, 20, 20, 20), 2, 10, progress)
    assert progress.steps == 1
