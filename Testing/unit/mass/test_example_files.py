"""Examples from scans with label maps and segmentations."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.example_files import read_examples
from MaskWhatMattersLib.volumes import Volume, crop, orient, write_volume
from unit.mass.seg_nrrd_files import write_seg_nrrd

AFFINE = np.array([[-2.0, 0, 0, 40], [0, 2.0, 0, -10], [0, 0, 3.0, 5], [0, 0, 0, 1]])
SHAPE = (6, 8, 10)


def two_blocks(first: int = 1, second: int = 2) -> np.ndarray:
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 1:3, 2:5, 2:6] = first
    labels[0, 4:5, 2:5, 2:6] = second
    return labels


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "scan.nii.gz"
    write_volume(Volume(np.random.default_rng(0).normal(size=(1, *SHAPE)).astype(np.float32), AFFINE), path)
    return path


@pytest.fixture
def labels(tmp_path):
    """Write a label map; returns its path."""

    def write(array=None, name="labels.nii.gz", affine=AFFINE):
        write_volume(Volume(two_blocks() if array is None else array, affine), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def segments(tmp_path):
    """Write a .seg.nrrd with these names and values; returns its path."""

    def write(named, name="a.seg.nrrd", layers=None):
        values = list(named.values())
        layers = two_blocks(*values) if layers is None else layers
        facts = [{"Name": text, "LabelValue": str(value), "Layer": "0"} for text, value in named.items()]
        return write_seg_nrrd(tmp_path / name, layers, AFFINE, facts)

    return write


def called(example) -> dict[int, str]:
    return {label.value: label.name for label in example.labels}


def test_a_label_map_gives_a_mask_per_value(image, labels):
    (example,) = read_examples([(image, labels())]).examples
    assert called(example) == {1: "label 1", 2: "label 2"}
    np.testing.assert_array_equal(example.masks.array, np.concatenate([two_blocks() == 1, two_blocks() == 2]))


def test_names_are_given_and_labels_are_chosen_by_value_or_name(image, labels):
    files = [(image, labels())]
    named = read_examples(files, names={1: "liver"}, chosen=["Liver"]).examples[0]
    assert called(named) == {1: "liver"}
    assert called(read_examples(files, chosen=["2"]).examples[0]) == {2: "label 2"}


def test_segments_of_two_files_are_matched_by_name(image, labels, segments):
    first = segments({"liver": 1, "spleen": 2})
    second = segments({"Spleen": 1, "liver": 2}, "b.seg.nrrd")
    one, other = read_examples([(image, first), (image, second)]).examples
    assert called(one) == called(other) == {1: "liver", 2: "spleen"}
    np.testing.assert_array_equal(other.masks.array[0], two_blocks()[0] == 2)


def test_a_second_segment_of_a_value_gets_a_free_one(image, segments):
    read = read_examples(
        [(image, segments({"liver": 1, "spleen": 2})), (image, segments({"vein": 1}, "b.seg.nrrd", two_blocks(1, 0)))]
    )
    assert called(read.examples[1]) == {3: "vein"}
    assert read.notes == ("vein becomes 3: 1 is liver already.",)


def test_a_label_map_without_names_takes_those_of_a_segmentation(image, labels, segments):
    read = read_examples([(image, labels()), (image, segments({"liver": 1, "spleen": 2}))])
    assert called(read.examples[0]) == {1: "liver", 2: "spleen"}
    assert read.notes[0] == "labels.nii.gz has no names: its 1 is taken for liver."


def test_overlapping_segments_lie_in_layers(tmp_path, image):
    layers = np.concatenate([two_blocks() > 0, two_blocks() == 1]).astype(np.uint8)
    facts = [{"Name": "organ", "LabelValue": "1", "Layer": "0"}, {"Name": "lesion", "LabelValue": "1", "Layer": "1"}]
    (example,) = read_examples([(image, write_seg_nrrd(tmp_path / "a.seg.nrrd", layers, AFFINE, facts))]).examples
    assert called(example) == {1: "organ", 2: "lesion"}
    np.testing.assert_array_equal(example.masks.array, layers)


def test_a_segmentation_cut_to_its_segments_is_filled_up(tmp_path, image):
    whole = Volume(two_blocks(), AFFINE)
    write_volume(orient(crop(whole, (1, 2, 1), (7, 6, 5)), "LPS"), tmp_path / "cut.nrrd")
    (example,) = read_examples([(image, tmp_path / "cut.nrrd")]).examples
    np.testing.assert_array_equal(example.masks.array[1], two_blocks()[0] == 2)


def test_an_empty_segment_is_left_out_and_said(image, segments):
    read = read_examples([(image, segments({"liver": 1, "spleen": 0}))])
    assert called(read.examples[0]) == {1: "liver"}
    assert read.notes == ("spleen is left out: it has no voxel in any reference.",)


def refused(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_examples(*arguments, **options)
    return str(caught.value)


def test_all_files_that_cannot_be_used_are_named_together(tmp_path, image, labels):
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.9
    text = refused(
        [
            (image, labels(np.zeros((1, *SHAPE), np.uint8), "empty.nii.gz")),
            (image, labels(name="shifted.nii.gz", affine=shifted)),
            (image, image),
            (tmp_path / "nowhere.nii.gz", image),
        ]
    )
    for part in ("marks nothing", "not lie on its image's grid", "were not swapped", "does not exist"):
        assert part in text


def test_channels_without_names_are_refused(tmp_path, image):
    write_volume(Volume(np.concatenate([two_blocks()] * 2), AFFINE), tmp_path / "two.nrrd")
    assert "2 channels without names" in refused([(image, tmp_path / "two.nrrd")])


def test_hundreds_of_labels_must_be_chosen_from(image, labels):
    many = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(1, *SHAPE) % 200
    path = labels(many)
    assert "--labels" in refused([(image, path)])
    assert called(read_examples([(image, path)], chosen=["150"]).examples[0]) == {150: "label 150"}


def test_labels_that_no_reference_marks_are_refused(image, labels, segments):
    assert "found 1 label 1, 2 label 2" in refused([(image, labels())], chosen=["3"])
    assert "No reference marks spleen" in refused([(image, segments({"liver": 1, "spleen": 0}))], chosen=["spleen"])
    assert "5=heart" in refused([(image, labels())], names={5: "heart"})


def test_a_reference_without_any_chosen_label_is_refused(image, labels, segments):
    only = labels(two_blocks(1, 0), "only.nii.gz")
    assert "only.nii.gz holds none of the chosen labels" in refused([(image, labels()), (image, only)], chosen=["2"])


def test_a_name_that_is_used_twice_is_refused(image, labels, segments):
    path = segments({"liver": 1, "Liver": 2})
    assert "uses a name twice: liver" in refused([(image, path)])
