"""The demonstration on the brain template; the sets are shown only where they are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from MaskWhatMattersLib import demo
from MaskWhatMattersLib.volumes import read_volume, resample_to_spacing, write_volume


def test_the_template_is_a_real_brain_in_millimetres():
    case = demo.template_case()
    if case is None:
        pytest.skip("needs the image inside the nilearn package (make setup)")
    volume = read_volume(case.image)
    assert volume.orientation == "RAS"
    assert all(length * mm > 120 for length, mm in zip(volume.spatial_shape[::-1], volume.spacing_mm, strict=True))


def test_one_case_of_each_set_that_is_not_for_training(data_folder):
    cases = demo.data_cases(data_folder)
    assert {case.title for case in cases} == {title for title, _, _ in demo.SETS.values()}
    for case in cases:
        assert case.image.is_file()
        assert case.label_map is not None
        assert case.label_map.is_file()


def test_the_left_atrium_is_segmented_and_compared_with_its_manual_label(data_folder, capsys):
    demo._print_atrium(demo.data_cases(data_folder))
    printed = capsys.readouterr().out
    assert "left-atrium" in printed
    assert "Dice 0.9" in printed or "Dice 0.8" in printed


def test_without_a_heart_scan_nothing_is_said_of_the_left_atrium(capsys):
    demo._print_atrium([])
    assert capsys.readouterr().out == ""


def test_without_data_the_template_alone_is_shown(tmp_path, capsys, monkeypatch):
    case = demo.template_case()
    if case is None:
        pytest.skip("needs the image inside the nilearn package (make setup)")
    coarse = tmp_path / "coarse.nii.gz"  # the same brain in a fraction of the time
    write_volume(resample_to_spacing(read_volume(case.image), (4, 4, 8)), coarse)
    monkeypatch.setattr(demo, "template_case", lambda: replace(case, image=coarse))
    code = demo.main(["--output", str(tmp_path / "out"), "--data", str(tmp_path)])
    printed = capsys.readouterr().out
    assert code == 0
    assert "Brain T1 template" in printed
    assert "What to try next" in printed
    assert Image.open(tmp_path / "out" / "contact_sheet.png").width > 400


def test_with_neither_data_nor_template_the_way_to_get_them_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "template_case", lambda: None)
    assert demo.main(["--output", str(tmp_path / "out"), "--data", str(tmp_path)]) == 1
    assert "make setup" in capsys.readouterr().err
    assert not Path(tmp_path / "out").exists()
