"""Predictions and truths of the same name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.evaluation.pairs import pair_by_name
from MaskWhatMattersLib.volumes import Volume, write_volume


def folder(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        write_volume(Volume(np.ones((1, 2, 2, 2), np.uint8), np.eye(4)), path / name)
    return path


def test_names_decide_whatever_the_format_and_the_subfolder(tmp_path):
    predictions = folder(tmp_path / "p", "b.nii.gz", "deeper/a.nrrd")
    truths = folder(tmp_path / "t", "a.nii.gz", "b.mha")
    found = pair_by_name(predictions, truths)
    assert found.pairs == {
        "a": (predictions / "deeper" / "a.nrrd", truths / "a.nii.gz"),
        "b": (predictions / "b.nii.gz", truths / "b.mha"),
    }
    assert found.without_prediction == found.without_truth == ()


def test_what_has_no_partner_is_told(tmp_path):
    predictions, truths = folder(tmp_path / "p", "a.nrrd", "x.nrrd"), folder(tmp_path / "t", "a.nrrd", "y.nrrd")
    found = pair_by_name(predictions, truths)
    assert found.without_truth == (predictions / "x.nrrd",)
    assert found.without_prediction == (truths / "y.nrrd",)


def test_no_pair_at_all_is_refused_with_examples(tmp_path):
    predictions = folder(tmp_path / "p", *(f"{n}_pred.nrrd" for n in range(5)))
    with pytest.raises(InputError, match=r"0_pred\.nrrd, 1_pred\.nrrd, 2_pred\.nrrd and 2 more and 0\.nrrd"):
        pair_by_name(predictions, folder(tmp_path / "t", "0.nrrd"))


def test_two_files_of_one_name_are_refused_beside_other_problems(tmp_path):
    predictions = folder(tmp_path / "p", "a.nrrd", "a.nii.gz")
    with pytest.raises(InputError, match=r"have the same name.*holds no label map"):
        pair_by_name(predictions, folder(tmp_path / "t"))


def test_the_same_folder_twice_is_refused(tmp_path):
    predictions = folder(tmp_path / "p", "a.nrrd")
    (tmp_path / "link").symlink_to(predictions)
    with pytest.raises(InputError, match="two different folders"):
        pair_by_name(predictions, tmp_path / "link")


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    predictions = folder(tmp_path / "p", "a.nrrd")
    with pytest.raises(InputError, match="is not a folder"):
        pair_by_name(predictions / "a.nrrd", predictions)
