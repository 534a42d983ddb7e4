"""Volumes as slices in context and the way back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.relevance.builtin.slices import SIDE, slice_labels, slice_volume, slicing_orientation
from MaskWhatMattersLib.volumes import Volume, orient
from phantoms import disc_volume

ORIENTATIONS = ["LPS", "RAS", "SAL", "PIR", "ILA", "ASR"]


def volume(shape=(20, 30, 40), spacing=(1.0, 1.0, 1.0)) -> Volume:
    array = np.random.default_rng(0).integers(100, 1000, (1, *shape)).astype(np.int16)
    return Volume(array, np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_slices_do_not_depend_on_the_order_in_which_voxels_are_stored(orientation):
    image, _ = disc_volume(0)
    stored = orient(image, orientation)
    torch.testing.assert_close(slice_volume(stored, "MR").images, slice_volume(image, "MR").images)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_structure_comes_back_to_its_own_voxels(orientation):
    image, labels = disc_volume(1)
    stack = slice_volume(orient(image, orientation), "MR", every_slice=True)
    maps = slice_labels(stack, orient(labels, orientation)).float()
    back = stack.to_volume(maps)
    truth = orient(labels, orientation).array > 0
    assert back.array.shape == truth.shape
    overlap = 2 * ((back.array >= 0.5) & truth).sum() / ((back.array >= 0.5).sum() + truth.sum())
    assert overlap > 0.97


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(3, 24)] * 3), st.sampled_from(ORIENTATIONS), st.booleans())
def test_a_constant_map_stays_constant_on_any_grid(shape, orientation, every):
    grid = orient(volume(shape), orientation)
    stack = slice_volume(grid, "MR", every_slice=every)
    back = stack.to_volume(torch.ones(len(stack.positions), SIDE, SIDE))
    assert back.array.shape == grid.array.shape
    assert np.allclose(back.affine, grid.affine)
    inside = back.array[back.array > 0]
    assert np.allclose(inside, 1, atol=1e-5)


def test_thin_slices_are_skipped_and_filled_in():
    stack = slice_volume(volume((41, 20, 20), (1, 1, 0.5)), "MR")
    assert list(stack.positions[:3]) == [0, 4, 8]
    ramp = torch.linspace(0, 1, len(stack.positions))[:, None, None].expand(-1, SIDE, SIDE)
    middle = stack.to_volume(ramp).array[0, :, 10, 10]
    assert np.allclose(middle, np.linspace(0, 1, 41), atol=1e-3)


def test_thick_slices_choose_the_plane():
    assert slicing_orientation(volume(spacing=(1, 1, 5))) == "LPS"
    assert slicing_orientation(volume(spacing=(5, 1, 1))) == "PIL"
    assert slicing_orientation(volume(spacing=(1, 5, 1))) == "LIP"
    assert slicing_orientation(volume(spacing=(1, 1, 1.5))) == "LPS"


def test_the_context_repeats_the_ends():
    stack = slice_volume(volume(spacing=(1, 1, 3)), "MR")
    assert stack.context == 1
    first = stack.with_context(torch.tensor([0]))
    assert torch.equal(first[0, 0], first[0, 1])
    assert torch.equal(first[0, 2], stack.images[1])


def test_ct_keeps_hounsfield_units_apart_from_their_neighbourhood():
    array = np.full((1, 6, 20, 20), 100, np.int16)
    bright = array.copy()
    bright[0, 3] = 3000
    plain, changed = (slice_volume(Volume(a, np.eye(4)), "CT") for a in (array, bright))
    assert torch.allclose(plain.images[0], changed.images[0])


def test_nan_is_refused():
    array = np.ones((1, 4, 8, 8), np.float32)
    array[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        slice_volume(Volume(array, np.eye(4)), "MR")
