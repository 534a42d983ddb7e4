"""Crops from around labels."""

import torch

from finetuning_phantoms import small_config
from MaskWhatMattersLib.datasets.device_scans import PatchAugmentConfig
from MaskWhatMattersLib.datasets.image_cases import ImageCase
from MaskWhatMattersLib.datasets.prepare_images import PreparedImages
from MaskWhatMattersLib.finetuning.sampling import BalancedCrops, label_boxes
from MaskWhatMattersLib.volumes import Volume

PLAIN = PatchAugmentConfig(quarter_turns=False, flips=False)


def images_with_dots(*places, side=200):
    """Grey pictures, each with one labelled pixel, or none."""
    images, marks = [], []
    for number, place in enumerate(places):
        image = (torch.arange(side * side).reshape(side, side) * (number + 3) % 251).to(torch.uint8)
        mark = torch.zeros(side, side, dtype=torch.uint8)
        if place is not None:
            mark[place] = 1
        images.append(image)
        marks.append(mark)
    grey = Volume(images[0].numpy()[None, None], torch.eye(4).numpy())
    cases = tuple(ImageCase(str(number), grey, str(number), "train") for number in range(len(places)))
    return PreparedImages(tuple(images), tuple(marks), tuple(case.name for case in cases), cases)


def crops_of(images, count=8, seed=0, size=(16, 16)):
    return BalancedCrops(images, size, torch.device("cpu")).batch(count, PLAIN, seed)


def test_half_of_the_crops_show_a_label_that_is_hardly_met_by_chance():
    batches = [crops_of(images_with_dots((100, 100)), seed=seed) for seed in range(4)]
    shown = sum(int((batch.labels == 1).flatten(1).any(1).sum()) for batch in batches)
    assert 16 <= shown <= 18


def test_a_label_at_the_border_gives_a_whole_crop():
    box = label_boxes(images_with_dots((0, 199)).marks[0], (16, 16))[1]
    assert [(part.start, part.stop) for part in box] == [(0, 16), (184, 200)]


def test_the_box_of_a_label_in_a_small_image_is_the_image():
    box = label_boxes(images_with_dots((3, 3), side=10).marks[0], (16, 16))[1]
    assert [(part.start, part.stop) for part in box] == [(0, 10), (0, 10)]


def test_crops_around_labels_are_standardized_by_the_whole_image():
    images = images_with_dots((100, 100))
    crop = crops_of(images, 1, seed=next(s for s in range(9) if crops_of(images, 1, s).labels.any()))
    grey = images.images[0].float()
    top, left = (int(100 - where) for where in crop.labels[0].nonzero()[0])
    expected = (grey - grey.mean()) / grey.std(correction=0)
    torch.testing.assert_close(crop.images[0, 0], expected[top : top + 16, left : left + 16])


def test_without_any_label_crops_come_from_anywhere():
    assert crops_of(images_with_dots(None, None)).images.shape == (8, 1, 16, 16)


def test_undecided_voxels_are_no_label():
    marks = torch.full((20, 20), 255, dtype=torch.uint8)
    assert label_boxes(marks, small_config(2).size) == {}


def test_beyond_a_small_image_nobody_has_decided():
    labels = crops_of(images_with_dots((3, 3), side=10)).labels
    assert labels.unique().tolist() == [0, 1, 255]
    assert (labels != 255).flatten(1).sum(1).tolist() == [100] * 8


def test_what_is_undecided_in_an_image_stays_so():
    images = images_with_dots((100, 100), side=200)
    images.marks[0][:100] = 255
    assert 255 in crops_of(images).labels


def test_objects_that_are_numbered_share_one_box():
    images = images_with_dots((100, 100))
    images.marks[0][20, 30] = 2
    crops = BalancedCrops(images, (16, 16), torch.device("cpu"), each_label=False)
    assert len(crops._places_of) == 1
