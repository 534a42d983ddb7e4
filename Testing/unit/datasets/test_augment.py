"""Augmentation of batches."""

import torch

from MaskWhatMattersLib.datasets.augment import AugmentConfig, random_affine, recolour, warp


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_identity_changes_nothing():
    images, labels = torch.rand(2, 3, 16, 16), torch.randint(0, 3, (2, 16, 16), dtype=torch.uint8)
    moved, moved_labels = warp(images, labels, torch.eye(2, 3).expand(2, 2, 3), ignored=255)
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)
    assert torch.equal(moved_labels, labels)


def test_what_comes_from_outside_is_black_and_ignored():
    shifted = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    moved, labels = warp(torch.ones(1, 1, 8, 8), torch.ones(1, 8, 8, dtype=torch.uint8), shifted, ignored=255)
    assert (moved[..., 5:] == 0).all()
    assert (labels[..., 5:] == 255).all()
    assert (labels[..., :3] == 1).all()


def test_a_share_of_zero_leaves_every_sample_as_it_was():
    config = AugmentConfig(share=0)
    assert torch.equal(random_affine(4, config, generator()), torch.eye(2, 3).expand(4, 2, 3))
    images = torch.rand(4, 1, 8, 8).clamp(min=0.01)
    torch.testing.assert_close(recolour(images, config, generator()), images)


def test_colours_stay_in_range_and_background_stays_black():
    images = torch.rand(8, 3, 16, 16) * (torch.rand(8, 3, 16, 16) > 0.5)
    result = recolour(images, AugmentConfig(share=1, noise=0.3), generator())
    assert result.min() >= 0
    assert result.max() <= 1
    assert (result[images == 0] == 0).all()
    assert not torch.equal(result, images)


def test_the_same_seed_draws_the_same():
    assert torch.equal(random_affine(4, AugmentConfig(), generator(3)), random_affine(4, AugmentConfig(), generator(3)))
