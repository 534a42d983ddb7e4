"""Patches cut from scans on the device."""

from __future__ import annotations

import pytest
import torch

from MaskWhatMattersLib.datasets.device_scans import DeviceScans, PatchAugmentConfig

PLAIN = PatchAugmentConfig(quarter_turns=False, flips=False)
EVERYTHING = PatchAugmentConfig(
    rotation_deg=20, zoom=1.2, gamma=0.3, contrast=0.2, brightness=0.2, bias_field=0.2, noise=0.1, blur=0.5
)


def scan(*sides: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, sides, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def one(image: torch.Tensor) -> DeviceScans:
    """A scan whose labels are where it is bright."""
    return DeviceScans([image], [(image > 127).to(torch.uint8)])


@pytest.mark.parametrize("sides", [(10, 12), (6, 10, 12)])
@pytest.mark.parametrize("augment", [PLAIN, PatchAugmentConfig()])
def test_labels_stay_on_their_voxels_through_turns_and_flips(sides, augment):
    image = scan(*sides)
    scans = one(image)
    for seed in range(20):
        patches = scans.patches([0], [side - 2 for side in sides], augment, seed)
        grey = patches.images[0, 0] * scans.deviations[0] + scans.means[0]
        assert torch.equal(patches.labels[0] > 0, grey > 127)


def test_a_patch_of_the_whole_scan_is_the_scan_z_scored():
    image = scan(4, 6, 8)
    patch = one(image).patches([0], (4, 6, 8), PLAIN, seed=1).images[0, 0]
    torch.testing.assert_close(patch, (image.float() - image.float().mean()) / image.float().std(correction=0))


def test_every_quarter_turn_and_flip_occurs_also_for_patches_that_are_not_square():
    scans = one(scan(2, 6, 8))
    seen = {
        tuple(scans.patches([0], (2, 3, 4), PatchAugmentConfig(), seed).images.flatten().tolist()) for seed in range(60)
    }
    assert len(seen) > 40


def test_a_small_scan_is_padded_with_its_mean_and_background():
    image = scan(4, 4, 4)
    patches = one(image).patches([0], (8, 4, 4), PLAIN, seed=0)
    assert (patches.images[0, 0, :2] == 0).all()
    assert (patches.images[0, 0, 6:] == 0).all()
    assert not patches.labels[0, :2].any()


@pytest.mark.parametrize("sides", [(16, 16), (16, 16, 16)])
def test_the_seed_decides_everything(sides):
    scans = one(scan(*sides))
    first, again, other = (scans.patches([0, 0], [8] * len(sides), EVERYTHING, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)
    assert not torch.equal(first.images[0], first.images[1])


def test_rotation_and_zoom_move_labels_with_the_image():
    ball = (torch.stack(torch.meshgrid(*[torch.arange(32) - 15.5] * 3, indexing="ij")).norm(dim=0) < 8).to(torch.uint8)
    scans = DeviceScans([ball * 200], [ball])
    moving = PatchAugmentConfig(quarter_turns=False, flips=False, rotation_deg=30, zoom=1.2)
    for seed in range(5):
        patches = scans.patches([0], (24, 24, 24), moving, seed)
        bright = patches.images[0, 0] * scans.deviations[0] + scans.means[0] > 100
        overlap = 2 * (bright & (patches.labels[0] > 0)).sum() / (bright.sum() + (patches.labels[0] > 0).sum())
        assert overlap > 0.95


def test_zoom_changes_size_about_as_much_as_asked():
    ball = (torch.stack(torch.meshgrid(*[torch.arange(40) - 19.5] * 3, indexing="ij")).norm(dim=0) < 8).to(torch.uint8)
    scans = DeviceScans([ball], [ball])
    zooming = PatchAugmentConfig(quarter_turns=False, flips=False, zoom=1.2)
    sizes = torch.tensor([float(scans.patches([0], (28, 28, 28), zooming, seed).labels.sum()) for seed in range(30)])
    radii = (sizes / ball.sum()) ** (1 / 3)
    assert radii.max() < 1.2 ** (4 / 3) + 0.02
    assert radii.min() > 1.2 ** (-4 / 3) - 0.02
    assert radii.std() > 0.05


def test_a_scan_without_labels_gives_background():
    patches = DeviceScans([scan(4, 4, 4)], [None]).patches([0], (4, 4, 4), PLAIN, seed=0)
    assert patches.labels.dtype == torch.long
    assert not patches.labels.any()


def test_there_may_be_no_scan():
    assert len(DeviceScans([], [])) == 0


def test_marks_may_stay_bytes_and_are_zero_in_the_padding():
    marks = torch.full((4, 4), 3, dtype=torch.uint8)
    found = DeviceScans([scan(4, 4)], [marks]).patches([0], (8, 4), PLAIN, seed=0, label_type=torch.uint8).labels
    assert found.dtype == torch.uint8
    assert (found[0, 2:6] == 3).all()
    assert not found[0, :2].any()
    assert not found[0, 6:].any()


def test_scans_of_different_sizes_give_what_each_gives_alone():
    scans = DeviceScans([scan(10, 12), scan(4, 20, seed=1)], [None, scan(4, 20, seed=2)])
    both = scans.patches([0, 1], (8, 8), PLAIN, seed=3)
    padded = both.images[1, 0]
    assert not padded[:2].any()
    assert not padded[6:].any()
    grey = padded[2:6] * scans.deviations[1] + scans.means[1]
    found = scans.scans[1].unfold(1, 8, 1).float().permute(1, 0, 2)
    assert (found - grey).abs().amax((1, 2)).min() < 1e-3
    assert not both.labels[0].any()
