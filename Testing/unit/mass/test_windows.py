"""Windows cover a scan as MONAI's do, and their mean is MONAI's."""

from __future__ import annotations

import pytest
import torch
from monai.inferers.utils import sliding_window_inference

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.mass import windows
from MaskWhatMattersLib.mass.windows import blended, padded, windows_over
from MaskWhatMattersLib.progress import SilentProgress


def predict(images: torch.Tensor) -> torch.Tensor:
    """Two labels whose probability depends on the place in the window."""
    ramp = torch.linspace(0, 1, images.shape[-1])
    return torch.cat([images * ramp, images.flip(-1) * (1 - ramp)], dim=1).sigmoid()


@pytest.mark.parametrize("shape", [(20, 33, 16), (9, 40, 17), (5, 6, 7)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_the_mean_is_that_of_monai(shape: tuple[int, int, int], overlap: float) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    whole, inside = padded(image, 16)
    found = blended(predict, whole, windows_over(whole.shape, 16, overlap), 2, SilentProgress(), batch=2)
    wanted = sliding_window_inference(image[None, None], (16,) * 3, 1, predict, overlap, mode="gaussian")
    torch.testing.assert_close(found[(slice(None), *inside)], wanted[0], atol=1e-5, rtol=1e-5)


def test_an_image_is_padded_with_its_mean_on_both_sides() -> None:
    whole, inside = padded(torch.ones(3, 20, 16), 16)
    assert whole.shape == (16, 20, 16)
    assert inside == (slice(6, 9), slice(0, 20), slice(0, 16))
    assert whole.sum() == 3 * 20 * 16


def test_what_no_window_holds_is_improbable() -> None:
    image = torch.zeros(16, 16, 40)
    found = blended(predict, image, windows_over(image.shape, 16, 0.5)[:2], 2, SilentProgress())
    assert (found[..., :24] > 0).all()
    assert not found[..., 24:].any()
    assert not blended(predict, image, [], 2, SilentProgress()).any()


def test_many_labels_in_a_large_scan_take_half_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.randn(16, 16, 40, generator=torch.Generator().manual_seed(0))
    places = windows_over(image.shape, 16, 0.5)
    exact = blended(predict, image, places, 2, SilentProgress())
    monkeypatch.setattr(windows, "_MOST_BYTES", 1)
    rough = blended(predict, image, places, 2, SilentProgress())
    assert rough.dtype == torch.float16
    torch.testing.assert_close(rough.float(), exact, atol=2e-3, rtol=0)


def test_a_cancel_stops_before_the_next_window() -> None:
    class Stop(SilentProgress):
        def step(self, count: int = 1, message: str = "") -> None:
            raise JobCancelledError("stop")

    with pytest.raises(JobCancelledError):
        blended(predict, torch.zeros(16, 16, 16), windows_over((16,) * 3, 16, 0.5), 2, Stop())
