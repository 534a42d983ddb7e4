from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.mass.proposals.body import body_mask
from MaskWhatMattersLib.mass.proposals.renderings import render
from MaskWhatMattersLib.mass.proposals.supervoxels import Scene, basins, enlarged, even_regions, gradient
from unit.mass.proposals.two_organs import organs, trunk


@pytest.fixture
def scene() -> Scene:
    volume = trunk()
    body = body_mask(volume, is_ct=False)
    return Scene(render(volume.array[0], body, is_ct=False), body, (4.0, 4.0, 4.0))


@pytest.mark.parametrize("region_ml", [32.0, 8.0, 2.0])
def test_even_regions_have_about_the_wanted_size_and_stay_in_the_body(scene, region_ml):
    regions = even_regions(scene, region_ml, 0.1, 5)
    np.testing.assert_array_equal(regions > 0, scene.body)
    sizes = np.bincount(regions.ravel())[1:]
    assert sizes.min() > 0
    assert scene.body_ml / len(sizes) == pytest.approx(region_ml, rel=0.5)


def test_even_regions_know_the_spacing(scene):
    flat = Scene(scene.channels, scene.body, (16.0, 4.0, 4.0))
    regions = even_regions(flat, 32.0, 100.0, 1)
    k, j, i = (np.ptp(places) + 1 for places in np.nonzero(regions == regions[12, 16, 16]))
    assert k < 0.6 * min(j, i)


def test_basins_do_not_cross_clear_edges(scene):
    regions = basins(gradient(scene), scene.body, 0.01)
    np.testing.assert_array_equal(regions > 0, scene.body)
    large, _ = organs()
    inside = np.bincount(regions[large], minlength=regions.max() + 1)
    whole = np.bincount(regions.ravel())
    mostly = inside > 0.5 * whole
    assert whole[mostly].sum() == pytest.approx(large.sum(), rel=0.15)


def test_half_the_resolution_keeps_thick_slices(scene):
    thick = Scene(scene.channels, scene.body, (10.0, 4.0, 4.0)).halved()
    assert thick.spacing_mm == (10.0, 8.0, 8.0)
    assert thick.body.shape == (24, 16, 16)
    np.testing.assert_allclose(thick.channels[0, 3, 5, 6], scene.channels[0, 3, 10:12, 12:14].mean(), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 10, 11)])
def test_labels_of_half_the_resolution_fill_the_whole_scene(shape):
    body = np.ones(shape, bool)
    half = Scene(np.zeros((1, *shape), np.float32), body, (1.0, 1.0, 1.0)).halved()
    labels = np.arange(1, half.body.size + 1, dtype=np.int32).reshape(half.body.shape)
    whole = enlarged(labels, shape)
    assert whole.shape == shape
    np.testing.assert_array_equal(whole[::2, ::2, ::2][:4, :4, :4], labels[:4, :4, :4])
