"""The concept-conditioned U-Net."""

import pytest
import torch

from MaskWhatMattersLib.networks.concept_unet import ConceptUNet, ConceptUNetConfig, depth_to_space, space_to_depth

NAMES = ("liver", "spleen", "left lung")


def network(dims: int = 2) -> ConceptUNet:
    torch.manual_seed(0)
    return ConceptUNet(ConceptUNetConfig(spatial_dims=dims, widths=(8, 16), pixel_features=4, concepts=NAMES)).eval()


@pytest.mark.parametrize("dims", [2, 3])
def test_every_concept_gets_a_map_of_the_images_size(dims):
    logits = network(dims)(torch.rand(2, 3, *[16] * dims))
    assert logits.pixels.shape == (2, 3, *[16] * dims)
    assert logits.presence.shape == (2, 3)
    assert logits.modality.shape == (2, 3)


def test_asking_for_one_concept_equals_its_channel_of_asking_for_all():
    model, images = network(), torch.rand(1, 3, 16, 16)
    everything, one = model(images), model(images, torch.tensor([2]))
    torch.testing.assert_close(one.pixels[:, 0], everything.pixels[:, 2])
    torch.testing.assert_close(one.presence[:, 0], everything.presence[:, 2])


def test_a_batch_equals_one_by_one():
    model, images = network(), torch.rand(3, 3, 16, 16)
    together = model(images).pixels
    torch.testing.assert_close(together, torch.cat([model(image[None]).pixels for image in images]))


@pytest.mark.parametrize("dims", [2, 3])
def test_depth_to_space_undoes_space_to_depth(dims):
    images = torch.rand(2, 5, *[6] * dims)
    folded = space_to_depth(images)
    assert folded.shape == (2, 5 * 2**dims, *[3] * dims)
    assert torch.equal(depth_to_space(folded, dims), images)


def test_a_side_that_does_not_divide_is_refused_with_the_divisor():
    with pytest.raises(ValueError, match=r"multiples of 4; found \(16, 18\)"):
        network()(torch.rand(1, 3, 16, 18))


def test_widths_that_do_not_divide_into_groups_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 8.*\[12\]"):
        ConceptUNetConfig(widths=(8, 12), concepts=NAMES)
