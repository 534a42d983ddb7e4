"""Relevance maps and their masks."""

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance import RelevanceMap
from MaskWhatMattersLib.volumes import Volume


def relevance_map(has_physical_scale: bool = True) -> RelevanceMap:
    array = np.array([0.0, 0.2, 0.5, 0.9], np.float32).reshape(1, 1, 2, 2)
    volume = Volume(array, np.diag([10.0, 10.0, 10.0, 1.0]), has_physical_scale=has_physical_scale)
    return RelevanceMap(volume, "liver", "found", 0.9, "", "test", "test 1")


def test_the_mask_holds_what_reaches_the_threshold():
    assert relevance_map().mask().array.sum() == 2
    assert relevance_map().mask(0.2).array.sum() == 3
    assert relevance_map().mask().array.dtype == np.uint8


def test_the_size_is_in_millilitres():
    assert relevance_map().volume_ml() == pytest.approx(2.0)


def test_a_picture_has_no_size():
    assert relevance_map(has_physical_scale=False).volume_ml() is None


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(InputError, match="above 0 and at most at 1"):
        relevance_map().mask(threshold)
