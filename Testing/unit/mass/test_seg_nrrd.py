"""Headers of .seg.nrrd files."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.mass.seg_nrrd import Terms, read_segments, terms_of
from MaskWhatMattersLib.volumes import Volume, read_volume, write_volume
from unit.mass.seg_nrrd_files import LIVER, write_seg_nrrd

LAYERS = np.zeros((2, 4, 5, 6), np.uint8)
AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


@pytest.fixture
def path(tmp_path):
    facts = {"ID": "Segment_1", "Name": "liver", "LabelValue": "3", "Layer": "0", "Color": "0.5 0.25 1", "Tags": LIVER}
    return write_seg_nrrd(tmp_path / "a.seg.nrrd", LAYERS, AFFINE, [facts, {"ID": "Segment_2", "Layer": "1"}])


def test_name_value_layer_colour_and_terms_are_read(path):
    first, second = read_segments(path)
    assert (first.name, first.value, first.layer, first.color) == ("liver", 3, 0, (0.5, 0.25, 1.0))
    assert (first.terms.category.meaning, first.terms.type.value) == ("Anatomical Structure", "10200004")
    assert first.terms.type_modifier.meaning == "Left"
    assert (second.name, second.value, second.layer, second.color, second.terms) == ("Segment_2", 2, 1, None, Terms())


def test_layers_are_the_channels_of_the_volume(path):
    volume = read_volume(path)
    assert volume.array.shape == LAYERS.shape
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_other_files_have_no_segments(tmp_path):
    write_volume(Volume(LAYERS[:1], AFFINE), tmp_path / "plain.nrrd")
    write_volume(Volume(LAYERS[:1], AFFINE), tmp_path / "plain.nii.gz")
    (tmp_path / "broken.nrrd").write_text("no image")
    assert [read_segments(tmp_path / name) for name in ("plain.nrrd", "plain.nii.gz", "broken.nrrd")] == [()] * 3


@pytest.mark.parametrize("entry", ["", "|", "context", "context~^^~^^", "~~~~"])
def test_an_entry_without_codes_means_nothing(entry):
    assert terms_of(entry) == Terms()


@pytest.mark.parametrize("color", ["", "red", "1 2"])
def test_a_colour_that_is_none_is_left_out(tmp_path, color):
    path = write_seg_nrrd(tmp_path / "a.seg.nrrd", LAYERS[:1], AFFINE, [{"Name": "x", "Color": color}])
    assert read_segments(path)[0].color is None
