import numpy as np

from MaskWhatMattersLib.mass.baselines.copy import copy_label_map
from MaskWhatMattersLib.volumes import Volume, orient
from mass_phantoms import NAMES, dice_per_label, organ_subject


def test_a_label_map_is_laid_where_it_lies_in_the_world() -> None:
    image, labels = organ_subject(0)
    turned = orient(image, "LPI")
    copied = copy_label_map(labels, turned)
    assert copied.array.dtype == np.uint8
    np.testing.assert_array_equal(copied.affine, turned.affine)
    np.testing.assert_array_equal(orient(copied, "RAS").array, labels.array)


def test_scans_far_apart_share_nothing_unless_their_middles_are_laid_on_each_other() -> None:
    image, labels = organ_subject(0)
    affine = image.affine.copy()
    affine[:3, 3] += 1000
    far = Volume(image.array, affine)
    assert not copy_label_map(labels, far).array.any()
    np.testing.assert_array_equal(copy_label_map(labels, far, centred=True).array, labels.array)


def test_a_copy_fits_another_made_up_subject_badly() -> None:
    subjects = [organ_subject(seed)[1] for seed in range(5)]
    found = [dice_per_label(a.array, b.array) for a in subjects for b in subjects if a is not b]
    assert 0.15 < np.mean(found) < 0.4
    assert np.shape(found[0]) == (len(NAMES),)
