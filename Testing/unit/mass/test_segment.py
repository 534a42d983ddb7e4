"""From examples to label maps on the scan's own voxels, with a tiny model that sees bright things and a random one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import bright_mass
import corn_phantoms
import tiny_mass
from MaskWhatMattersLib import segment_by_example
from MaskWhatMattersLib.errors import GeometryError, InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.evaluation.overlap import dice
from MaskWhatMattersLib.mass.example import Example, TaskLabel
from MaskWhatMattersLib.mass.examples import example_from_label_map
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume, orient, resample_like

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [8, -11, 170], degrees=True).as_matrix() * (1.7, 1.5, 2.4)
OBLIQUE[:3, 3] = 40, -30, 15
PLAIN = SegmentSettings(quality=False)


def atrium_example(seed: int, **kinds) -> Example:
    return example_from_label_map(*corn_phantoms.atrium_scan(seed, **kinds), {1: "atrium"})


def overlap(found: Volume, truth: Volume) -> float:
    return dice(found.array > 0, truth.array > 0)


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> InContextSegmenter:
    return InContextSegmenter.load(bright_mass.bright_mass(tmp_path_factory.mktemp("models")), "cpu")


@pytest.fixture(scope="module")
def task(bright: InContextSegmenter) -> Task:
    return bright.encode([atrium_example(0)])


@pytest.fixture(scope="module")
def random(tmp_path_factory: pytest.TempPathFactory) -> InContextSegmenter:
    """Random weights, which see everything everywhere."""
    return InContextSegmenter.load(tiny_mass.tiny_mass(tmp_path_factory.mktemp("models"), window=16), "cpu")


def test_the_result_is_on_the_scans_own_voxels_and_right(bright: InContextSegmenter, task: Task) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    result = bright.segment(scan, task)
    assert overlap(result.label_map, truth) > 0.9
    assert (result.label_map.array.shape, result.label_map.array.dtype) == (scan.array.shape, np.uint8)
    np.testing.assert_array_equal(result.label_map.affine, scan.affine)
    (atrium,) = result.labels
    assert atrium.volume_ml == pytest.approx(np.count_nonzero(result.label_map.array) * scan.voxel_volume_ml)
    assert atrium.label.name == "atrium"
    assert (atrium.largest_probability, atrium.notes) == (pytest.approx(1, abs=0.01), ())
    assert (result.model, result.research_only, result.probabilities) == ("mass-bright 0.0.1", False, None)


def test_a_good_result_explains_its_examples(bright: InContextSegmenter, task: Task) -> None:
    result = bright.segment(corn_phantoms.atrium_scan(1)[0], task)
    assert result.quality_method == "reverse"
    assert result.labels[0].quality > 0.85


def test_without_examples_at_hand_the_scan_is_segmented_again(bright: InContextSegmenter, task: Task) -> None:
    result = bright.segment(corn_phantoms.atrium_scan(1)[0], replace(task, crops=()))
    assert result.quality_method == "self"
    assert result.labels[0].quality > 0.85


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SLA"])
def test_the_order_of_the_axes_changes_nothing(bright: InContextSegmenter, task: Task, orientation: str) -> None:
    scan, _ = corn_phantoms.atrium_scan(2, affine=OBLIQUE)
    wanted, found = bright.segment(scan, task, PLAIN), bright.segment(orient(scan, orientation), task, PLAIN)
    np.testing.assert_array_equal(resample_like(found.label_map, scan, "nearest").array, wanted.label_map.array)
    assert found.labels[0].volume_ml == pytest.approx(wanted.labels[0].volume_ml)


@pytest.mark.parametrize("orientation", ["LPS", "PIR"])
def test_the_order_of_an_examples_axes_changes_nothing(random: InContextSegmenter, orientation: str) -> None:
    example = atrium_example(2, affine=OBLIQUE)
    turned = Example(orient(example.image, orientation), orient(example.masks, orientation), example.labels)
    for one, other in zip(random.encode([example]).tokens, random.encode([turned]).tokens, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("affine", "shape"),
    [
        (OBLIQUE, (20, 28, 32)),
        (np.diag([1.1, -1.3, 4.0, 1.0]), (14, 40, 46)),
        (np.diag([-3.5, -3.5, 3.5, 1.0]), (13, 17, 18)),
    ],
    ids=["oblique", "anisotropic", "coarse"],
)
def test_oblique_and_anisotropic_scans_come_back_where_they_were(
    bright: InContextSegmenter, task: Task, affine: np.ndarray, shape: tuple[int, int, int]
) -> None:
    scan, truth = corn_phantoms.atrium_scan(3, shape, affine=affine)
    result = bright.segment(scan, task)
    assert overlap(result.label_map, truth) > 0.75
    centres = [np.argwhere(each.array[0] > 0).mean(0) for each in (result.label_map, truth)]
    np.testing.assert_allclose(centres[0], centres[1], atol=0.6)


def test_an_example_on_any_grid_serves_a_scan_on_any_other(bright: InContextSegmenter) -> None:
    task = bright.encode([atrium_example(4, affine=OBLIQUE)])
    scan, truth = corn_phantoms.atrium_scan(5)
    result = bright.segment(scan, task)
    assert overlap(result.label_map, truth) > 0.85
    assert result.labels[0].quality > 0.75


def test_windows_meet_without_a_seam(random: InContextSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(0)
    task = random.encode([atrium_example(0)], spacing_mm=2.0)
    settings = SegmentSettings(keep_probabilities=True, quality=False, skip_empty=False)
    result = random.segment(scan, task, settings)
    probability = orient(result.probabilities, "RAS").array[0]
    assert result.windows == result.windows_looked_at > 4
    assert (probability > 0).all()
    assert result.probabilities.array.shape == scan.array.shape


def test_probabilities_are_those_of_the_label_map(bright: InContextSegmenter, task: Task) -> None:
    scan, _ = corn_phantoms.atrium_scan(1, affine=OBLIQUE)
    settings = SegmentSettings(keep_probabilities=True, keep_largest=False, quality=False)
    result = bright.segment(scan, task, settings)
    np.testing.assert_array_equal(result.probabilities.array >= 0.5, result.label_map.array == 1)


def test_several_labels_and_examples_go_into_one_task(random: InContextSegmenter) -> None:
    both = [TaskLabel(value=value, name=name) for value, name in ((2, "box"), (5, "rod"))]
    scan, _ = corn_phantoms.atrium_scan(0)
    masks = np.zeros((2, *scan.spatial_shape), np.uint8)
    masks[0, 4:9, 4:9, 4:9], masks[1, :, 20:23, 20:23] = 1, 1
    first = Example(scan, scan.with_array(masks), tuple(both))
    second = Example(scan, scan.with_array(masks[1:]), (both[1],))
    task = random.encode([second, first])
    assert [label.value for label in task.labels] == [2, 5]
    np.testing.assert_array_equal(task.present, [[False, True], [True, True]])
    assert not task.tokens[0][0, 0].any()
    assert {crop.example for crop in task.crops} == {0, 1}
    result = random.segment(scan, task)
    assert set(np.unique(result.label_map.array)) <= {0, 2, 5}
    assert [each.label.name for each in result.labels] == ["box", "rod"]


def test_a_scan_without_the_structure_says_so(random: InContextSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(1)
    result = random.segment(scan, random.encode([atrium_example(0)], spacing_mm=4.0), SegmentSettings(threshold=0.99))
    assert (result.labels[0].volume_ml, result.labels[0].quality) == (0, 0)
    assert "not found" in result.labels[0].notes[0]


def test_after_a_full_tuning_the_quality_is_unknown(bright: InContextSegmenter, task: Task) -> None:
    result = bright.segment(corn_phantoms.atrium_scan(1)[0], replace(task, tuned="full", crops=()))
    assert result.quality_method == "none"
    assert math.isnan(result.labels[0].quality)


def test_a_label_that_another_one_covers_everywhere_has_no_quality(bright: InContextSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(0)
    task = bright.encode([example_from_label_map(scan, truth.with_array(np.concatenate([truth.array] * 2)))])
    first, second = bright.segment(corn_phantoms.atrium_scan(1)[0], task).labels  # both are equally probable
    assert first.quality > 0.85
    assert (second.volume_ml, second.quality) == (0, 0)


def test_another_modality_is_noted(bright: InContextSegmenter, task: Task) -> None:
    scan, _ = corn_phantoms.atrium_scan(1)
    result = bright.segment(replace(scan, modality="CT"), task, PLAIN)
    assert "The scan is CT, the examples are MR" in result.notes[0]
    assert math.isnan(result.labels[0].quality)
    assert result.quality_method == "none"


def test_mirror_images_need_the_examples_mirrored_too(bright: InContextSegmenter, task: Task) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    result = bright.segment(scan, task, SegmentSettings(mirrored=True))
    assert overlap(result.label_map, truth) > 0.9
    assert result.windows == 2
    for forbidden in (replace(task, crops=()), replace(task, tuned="tokens")):
        with pytest.raises(InputError, match="Mirror images need the examples"):
            bright.segment(scan, forbidden, SegmentSettings(mirrored=True))


def test_mirrored_scans_and_examples_give_mirrored_results(random: InContextSegmenter) -> None:
    settings = SegmentSettings(mirrored=True, keep_probabilities=True, quality=False)
    scan, example = corn_phantoms.atrium_scan(1)[0], atrium_example(0)

    def mirrored(volume: Volume) -> Volume:
        return volume.with_array(volume.array[..., ::-1])

    other = Example(mirrored(example.image), mirrored(example.masks), example.labels)
    task, other_task = (random.encode([each], spacing_mm=4.0) for each in (example, other))
    plain = random.segment(scan, task, settings).probabilities.array
    np.testing.assert_allclose(
        random.segment(mirrored(scan), other_task, settings).probabilities.array[..., ::-1], plain, atol=1e-3
    )


def test_from_four_examples_on_the_most_alike_are_chosen(bright: InContextSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    stages: list[str] = []

    class Told(SilentProgress):
        def stage(self, text: str, total: int = 0) -> None:
            stages.append(text)

    task = bright.encode([atrium_example(seed) for seed in range(2, 6)])
    assert overlap(bright.segment(scan, task, PLAIN, Told()).label_map, truth) > 0.9
    assert "Choosing the most alike examples" in stages
    stages.clear()
    bright.segment(scan, task, PLAIN.model_copy(update={"retrieval": False}), Told())
    assert stages == ["Preparing the scan", "Segmenting", "Bringing the result to the scan"]


def test_half_precision_is_close(bright: InContextSegmenter, task: Task) -> None:
    scan, _ = corn_phantoms.atrium_scan(1)
    exact = bright.segment(scan, task, PLAIN)
    rough = bright.segment(scan, task, PLAIN.model_copy(update={"precision": "bf16"}))
    assert overlap(exact.label_map, rough.label_map) > 0.95


def test_small_fields_of_view_are_looked_at_finer(bright: InContextSegmenter) -> None:
    assert bright.encode([atrium_example(0, shape=(20, 28, 32), spacing_mm=1.0)]).spacing_mm == 1.0
    assert bright.encode([atrium_example(0)], spacing_mm=4.0).spacing_mm == 4.0


def test_a_structure_larger_than_the_window_is_cropped_and_said_so(random: InContextSegmenter) -> None:
    scan, _ = corn_phantoms.atrium_scan(0)
    masks = np.zeros((1, *scan.spatial_shape), np.uint8)
    masks[:, 8:12, :, 10:14] = 1
    task = random.encode([Example(scan, scan.with_array(masks), (TaskLabel(value=1, name="rod"),))], spacing_mm=2.0)
    assert "rod is larger than the 32 mm that the network sees at once: the example is cropped" in task.notes[0]


def test_a_label_outside_of_the_body_is_refused(random: InContextSegmenter) -> None:
    array = np.zeros((1, 48, 20, 20), np.float32)
    array[:, :16] = np.random.default_rng(0).normal(100, 10, (16, 20, 20))
    scan = Volume(array, np.diag([4.0, 4.0, 4.0, 1.0]))
    masks = np.zeros((1, 48, 20, 20), np.uint8)
    masks[:, 40:44, 8:12, 8:12] = 1
    with pytest.raises(InputError, match="outside of what looks like the body"):
        random.encode([Example(scan, scan.with_array(masks), (TaskLabel(value=1, name="air"),))])


def test_a_task_of_another_model_is_refused(bright: InContextSegmenter, random: InContextSegmenter, task: Task) -> None:
    with pytest.raises(ModelFileError, match=r"made with the model mass-bright 0\.0\.1 .* applied with mass-test 0\.0"):
        random.segment(corn_phantoms.atrium_scan(1)[0], task)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((2, 8, 8, 8)), InputError),
        (np.zeros((1, 1, 8, 8)), GeometryError),
        (np.zeros((1, 8, 8, 8)), InputError),
        (np.full((1, 8, 8, 8), np.nan), InputError),
    ],
    ids=["channels", "slice", "constant", "nan"],
)
def test_what_is_no_scan_is_refused(
    bright: InContextSegmenter, task: Task, array: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error):
        bright.segment(Volume(array, np.eye(4)), task)


def test_tokens_that_do_not_fit_the_model_are_refused(bright: InContextSegmenter, task: Task) -> None:
    with pytest.raises(InputError, match="The task does not fit its model"):
        bright.segment(corn_phantoms.atrium_scan(1)[0], replace(task, tokens=task.tokens[::-1]))


def test_the_work_can_be_stopped_between_windows(random: InContextSegmenter) -> None:
    class Stop(SilentProgress):
        steps = 0

        def step(self, count: int = 1, message: str = "") -> None:
            self.steps += count
            if self.steps == 3:
                raise JobCancelledError("stop")

    task, stop = random.encode([atrium_example(0)], spacing_mm=2.0), Stop()
    with pytest.raises(JobCancelledError):
        random.segment(corn_phantoms.atrium_scan(0)[0], task, PLAIN, stop)
    assert stop.steps == 3


def test_the_public_name_segments_a_volume(bright: InContextSegmenter) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    result = segment_by_example(scan, atrium_example(0), bright.model_file, "cpu")
    assert overlap(result.label_map, truth) > 0.9


def test_a_real_scan_is_segmented_on_its_own_voxels(random: InContextSegmenter, data_folder: Path) -> None:
    from MaskWhatMattersLib.volumes import read_volume

    images = sorted((data_folder / "hippocampus_mr" / "images").glob("*.nii.gz"))[:2]
    scan, other = (read_volume(path) for path in images)
    marks = read_volume(images[0].parent.parent / "labels" / images[0].name)
    result = random.segment(other, random.encode([example_from_label_map(scan, marks)], spacing_mm=4.0), PLAIN)
    assert result.label_map.spatial_shape == other.spatial_shape
    np.testing.assert_array_equal(result.label_map.affine, other.affine)
