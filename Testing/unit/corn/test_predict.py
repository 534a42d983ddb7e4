"""From a scan to a label map on its own voxels, with tiny models that see bright things."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

import corn_phantoms
from MaskWhatMattersLib import segment_left_atrium
from MaskWhatMattersLib.corn.locate import AtriumFinder
from MaskWhatMattersLib.corn.predict import AtriumSegmenter
from MaskWhatMattersLib.corn.preprocessing import ScanPreprocessing, prepare_scan
from MaskWhatMattersLib.corn.report import ReviewLimits, dice
from MaskWhatMattersLib.corn.sliding import SlidingWindow
from MaskWhatMattersLib.errors import GeometryError, InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, crop, orient, resample_like

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [8, -11, 170], degrees=True).as_matrix() * (1.7, 1.5, 2.4)
OBLIQUE[:3, 3] = 40, -30, 15


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    corn_phantoms.save_tiny_atrium_model(folder)
    corn_phantoms.save_tiny_finder(folder)
    return folder


@pytest.fixture
def segmenter(models: Path) -> AtriumSegmenter:
    finder = models / "left-atrium-finder.safetensors"
    return AtriumSegmenter.load(models / "left-atrium.safetensors", "cpu", finder)


def overlap(found: Volume, truth: Volume) -> float:
    return dice(found.array > 0, truth.array > 0)


def test_the_result_is_on_the_scans_own_voxels_and_right(segmenter: AtriumSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(0)
    result = segmenter.segment(scan)
    assert overlap(result.label_map, truth) > 0.9
    for volume, dtype in ((result.label_map, np.uint8), (result.disagreement, np.float32)):
        assert (volume.array.shape, volume.array.dtype) == (scan.array.shape, dtype)
        np.testing.assert_array_equal(volume.affine, scan.affine)
    assert result.volume_ml == pytest.approx(result.label_map.array.sum() * 8 / 1000)
    assert (result.model, result.field_of_view, result.research_only) == ("left-atrium 0.0.1", "crop", True)
    assert 0.9 < result.agreement < 1
    assert 0 < result.boundary_entropy < 1


def test_nothing_is_interpolated_where_the_voxels_are_the_networks_own(segmenter: AtriumSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(1)
    found = segmenter.segment(scan, keep_probability=True, average_branches=False)
    prepared = prepare_scan(scan, segmenter.preprocessing)
    main, auxiliary = segmenter._probabilities(prepared, False, None, SilentProgress())
    np.testing.assert_array_equal(orient(found.probability, "RAS").array[0], main)
    shown, everywhere = orient(found.disagreement, "RAS").array[0], np.abs(main - auxiliary)
    np.testing.assert_array_equal(shown[shown > 0], everywhere[shown > 0])
    np.testing.assert_array_equal(shown[main > 0.5], everywhere[main > 0.5])


def test_disagreement_far_from_the_atrium_is_not_shown(segmenter: AtriumSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    shown = orient(segmenter.segment(scan).disagreement, "RAS").array[0]
    far = ~ndimage.binary_dilation(orient(truth, "RAS").array[0] > 0, iterations=8)
    assert far.any()
    assert not shown[far].any()


def test_a_cancel_stops_in_the_middle_of_a_pass(segmenter: AtriumSegmenter) -> None:
    class Impatient(SilentProgress):
        asked = 0

        def step(self, count: int = 1, message: str = "") -> None:
            self.asked += 1
            if self.asked == 3:
                raise JobCancelledError("stop")

    with pytest.raises(JobCancelledError):
        segmenter.segment(corn_phantoms.atrium_scan(1)[0], progress=Impatient())
    assert segmenter.segment(corn_phantoms.atrium_scan(1)[0]).volume_ml > 0


def test_the_label_map_holds_nothing_improbable(segmenter: AtriumSegmenter) -> None:
    found = segmenter.segment(corn_phantoms.atrium_scan(1)[0], keep_probability=True)
    assert not (found.label_map.array[found.probability.array <= 0.5]).any()


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SLA"])
def test_the_order_of_the_axes_changes_nothing(segmenter: AtriumSegmenter, orientation: str) -> None:
    scan, _ = corn_phantoms.atrium_scan(2, affine=OBLIQUE)
    wanted = segmenter.segment(scan)
    found = segmenter.segment(orient(scan, orientation))
    np.testing.assert_array_equal(resample_like(found.label_map, scan, "nearest").array, wanted.label_map.array)
    assert found.volume_ml == pytest.approx(wanted.volume_ml)


@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (OBLIQUE, (20, 28, 32)),
        (np.diag([1.1, -1.3, 4.0, 1.0]), (14, 40, 46)),
        (np.diag([-3.5, -3.5, 3.5, 1.0]), (13, 17, 19)),
    ],
    ids=["oblique", "anisotropic", "coarse"],
)
def test_oblique_and_anisotropic_scans_come_back_where_they_were(
    segmenter: AtriumSegmenter, affine: np.ndarray, shape: tuple[int, int, int]
) -> None:
    scan, truth = corn_phantoms.atrium_scan(3, shape, affine=affine)
    result = segmenter.segment(scan)
    assert overlap(result.label_map, truth) > 0.75
    assert result.volume_ml == pytest.approx(np.count_nonzero(result.label_map.array) * scan.voxel_volume_ml)
    centres = [np.argwhere(each.array[0] > 0).mean(0) for each in (result.label_map, truth)]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.6)


def test_the_last_voxels_of_a_scan_are_reached_though_the_networks_voxels_end_before(models: Path) -> None:
    array = np.random.default_rng(0).normal(200, 25, (1, 30, 30, 29))  # of 2 mm: 15, 15 and 14
    array[0, 10:20, 10:20, 20:] = 900
    scan = Volume(array, np.eye(4))
    result = AtriumSegmenter.load(models / "left-atrium.safetensors").segment(scan)
    assert result.label_map.array[0, 13:17, 13:17, 23:].all()


def test_the_atrium_is_found_in_a_wide_scan(segmenter: AtriumSegmenter) -> None:
    small, small_truth = corn_phantoms.atrium_scan(4, spacing_mm=2.5)
    shape = (24, 76, 80)
    noise = np.random.default_rng(0).normal(200, 25, (1, *shape)).astype(np.int16)
    truth = np.zeros((1, *shape), np.uint8)
    noise[:, 2:22, 30:58, 8:40], truth[:, 2:22, 30:58, 8:40] = small.array, small_truth.array
    scan = Volume(noise, small.affine, name="wide", modality="MR")
    result = segmenter.segment(scan)
    assert result.field_of_view == "full"
    assert overlap(result.label_map, Volume(truth, scan.affine)) > 0.85
    np.testing.assert_array_equal(result.label_map.affine, scan.affine)


def test_percentiles_and_z_score_are_those_of_the_region_that_was_found(segmenter: AtriumSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(5, spacing_mm=2.5)
    wide = np.random.default_rng(0).normal(200, 25, (1, 24, 76, 80)).astype(np.int16)
    wide[:, :, 64:, :] = 0  # air, which would lower the mean
    wide[:, 2:22, 30:58, 20:52] = scan.array
    volume = Volume(wide, scan.affine)
    region = segmenter._finder_ready().find(volume)
    alone = segmenter.segment(region, field_of_view="crop")
    found = segmenter.segment(volume)
    assert found.volume_ml == pytest.approx(alone.volume_ml)
    assert found.boundary_entropy == alone.boundary_entropy > 0


def test_nothing_found_is_an_empty_result_to_review(segmenter: AtriumSegmenter) -> None:
    noise = np.random.default_rng(0).normal(200, 25, (1, 10, 80, 80)).astype(np.int16)
    result = segmenter.segment(Volume(noise, np.diag([3.0, 3.0, 3.0, 1.0])))
    assert (result.volume_ml, result.review, result.review_reasons) == (0.0, True, ("no left atrium found",))
    assert not result.label_map.array.any()
    assert math.isnan(result.agreement)
    assert math.isnan(result.boundary_entropy)


def test_an_atrium_that_leaves_the_region_is_noticed(
    segmenter: AtriumSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, _ = corn_phantoms.atrium_scan(0)
    monkeypatch.setattr(AtriumFinder, "find", lambda self, volume, *_: crop(volume, (0, 0, 0), (16, 28, 20)))
    result = segmenter.segment(scan, field_of_view="full")
    assert "reaches the border" in result.review_reasons[-1]


def test_ct_is_segmented_with_a_warning(segmenter: AtriumSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(0)
    result = segmenter.segment(replace(scan, modality="CT"))
    assert result.review
    assert "made for MR" in result.review_reasons[0]
    assert result.label_map.array.any()


def test_the_cards_own_limits_decide_about_review(segmenter: AtriumSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(0)
    relaxed = ReviewLimits(min_agreement=0, max_boundary_entropy=1, min_volume_ml=0)
    assert segmenter.segment(scan).review  # a few mL: smaller than any atrium
    segmenter.preprocessing = ScanPreprocessing(spacing_mm=2.0, review=relaxed)
    assert not segmenter.segment(scan).review


def test_windows_give_nearly_what_one_pass_gives(segmenter: AtriumSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(6)
    windows = SlidingWindow(window=(16, 16, 16), stride=(4, 8, 8), weights="gaussian")
    one, many = segmenter.segment(scan), segmenter.segment(scan, sliding=windows)
    assert overlap(one.label_map, many.label_map) > 0.97


def test_both_branches_are_averaged_and_mirror_images_on_request(segmenter: AtriumSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(7)
    plain = segmenter.segment(scan, keep_probability=True, average_branches=False)
    for options in ({"mirrored": True}, {"average_branches": False}):
        result = segmenter.segment(scan, keep_probability=True, **options)
        assert overlap(result.label_map, truth) > 0.85
    both = segmenter.segment(scan, keep_probability=True)
    half = np.abs(both.probability.array - plain.probability.array)
    shown = plain.disagreement.array > 0.01
    assert shown.any()
    np.testing.assert_allclose(2 * half[shown], plain.disagreement.array[shown], atol=1e-5)


def test_half_precision_is_close(models: Path) -> None:
    scan, _ = corn_phantoms.atrium_scan(8)
    results = [
        AtriumSegmenter.load(models / "left-atrium.safetensors", precision=precision).segment(scan)
        for precision in ("fp32", "bf16")
    ]
    assert overlap(results[0].label_map, results[1].label_map) > 0.97


def test_large_scans_go_through_in_tiles(segmenter: AtriumSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = corn_phantoms.atrium_scan(9, (16, 24, 140))
    wanted = segmenter.segment(scan)
    monkeypatch.setattr("MaskWhatMattersLib.corn.predict._PASS_BYTES", 4 * 2 * 8 * 16 * 24 * 110)
    np.testing.assert_array_equal(segmenter.segment(scan).label_map.array, wanted.label_map.array)


def test_the_work_can_be_stopped(segmenter: AtriumSegmenter) -> None:
    class Stop(SilentProgress):
        def step(self, count: int = 1, message: str = "") -> None:
            raise JobCancelledError

    with pytest.raises(JobCancelledError):
        segmenter.segment(corn_phantoms.atrium_scan(0)[0], progress=Stop())


@pytest.mark.parametrize(
    ("array", "error"), [(np.zeros((2, 8, 8, 8)), InputError), (np.zeros((1, 1, 8, 8)), GeometryError)]
)
def test_what_is_no_scan_is_refused(segmenter: AtriumSegmenter, array: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        segmenter.segment(Volume(array, np.eye(4)))


def test_a_finder_is_no_segmenter(models: Path) -> None:
    with pytest.raises(ModelFileError, match=r"corn-vnet-pair is wanted, found atrium-finder-vnet"):
        AtriumSegmenter.load(models / "left-atrium-finder.safetensors")


def test_the_public_name_segments_a_volume(models: Path) -> None:
    scan, truth = corn_phantoms.atrium_scan(0)
    result = segment_left_atrium(scan, models / "left-atrium.safetensors", device="cpu")
    assert overlap(result.label_map, truth) > 0.9


def test_a_real_scan_is_segmented_on_its_own_voxels(segmenter: AtriumSegmenter, data_folder: Path) -> None:
    from MaskWhatMattersLib.volumes import read_volume

    path = sorted((data_folder / "left_atrium" / "images").glob("*.nii.gz"))[0]
    scan = read_volume(path)
    result = segmenter.segment(scan)
    assert result.label_map.spatial_shape == scan.spatial_shape
    assert result.field_of_view == "crop"


def test_training_state_is_off(segmenter: AtriumSegmenter) -> None:
    assert not any(module.training for module in segmenter.network.modules())
    assert not torch.is_grad_enabled() or all(parameter.grad is None for parameter in segmenter.network.parameters())
