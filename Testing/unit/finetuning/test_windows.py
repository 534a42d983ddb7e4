"""Leading a network over whole images."""

import pytest
import torch

from MaskWhatMattersLib.errors import JobCancelledError
from MaskWhatMattersLib.finetuning.windows import probabilities, standardized, with_channels
from MaskWhatMattersLib.progress import SilentProgress


def pointwise(dims, channels=1):
    """A network that looks at one voxel only, so that windows cannot matter."""
    torch.manual_seed(0)
    return (torch.nn.Conv2d if dims == 2 else torch.nn.Conv3d)(channels, 3, 1)


@pytest.mark.parametrize(("shape", "size"), [((40, 23), (16, 16)), ((9, 30), (16, 16)), ((20, 9, 17), (8, 8, 8))])
def test_windows_give_what_one_pass_gives(shape, size):
    images = torch.randint(256, (2, *shape), dtype=torch.uint8)
    network = pointwise(len(shape))
    with torch.no_grad():
        expected = network(standardized(images)).softmax(1).transpose(0, 1)
        torch.testing.assert_close(probabilities(network, images, size), expected)


def test_many_slices_are_as_good_as_one_by_one():
    images = torch.randint(256, (11, 16, 16), dtype=torch.uint8)
    network = pointwise(2)
    with torch.no_grad():
        together = probabilities(network, images, (16, 16))
        alone = torch.cat([probabilities(network, image[None], (16, 16)) for image in images], dim=1)
    torch.testing.assert_close(together, alone)


def test_a_constant_image_becomes_zero_and_any_other_has_deviation_one():
    images = torch.stack([torch.full((4, 4), 7), torch.arange(16).reshape(4, 4)]).byte()
    values = standardized(images)
    assert values.shape == (2, 1, 4, 4)
    assert not values[0].any()
    torch.testing.assert_close(values[1].std(correction=0), torch.tensor(1.0))


def test_several_channels_all_show_the_grey_image():
    images = torch.randn(2, 1, 4, 4)
    assert torch.equal(with_channels(images, 3), images.repeat(1, 3, 1, 1))
    assert probabilities(pointwise(2, 3), torch.zeros(1, 8, 8, dtype=torch.uint8), (8, 8), channels=3).shape[0] == 3


def test_the_work_stops_between_windows():
    class Cancelled(SilentProgress):
        def step(self, count=1, message=""):
            raise JobCancelledError

    with pytest.raises(JobCancelledError):
        probabilities(pointwise(2), torch.zeros(1, 8, 8, dtype=torch.uint8), (8, 8), progress=Cancelled())
