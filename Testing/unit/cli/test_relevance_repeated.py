"""Running again into the same folder: our own results are replaced, nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from MaskWhatMattersLib.cli.result_files import ResultFolder, is_result
from MaskWhatMattersLib.volumes import read_volume, write_volume
from unit.cli.helpers import files_in, read_report, sample_volume


def _content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder) if name != "report.json"}


def test_the_same_run_twice_gives_the_same_files(whatmatters, scans, output):
    arguments = (scans, "--prompt", "liver", "--output", output)
    assert whatmatters(*arguments).code == 0
    first = _content(output)
    assert whatmatters(*arguments).code == 0
    assert _content(output) == first
    assert len(read_report(output)) == 2


def test_a_run_with_another_prompt_keeps_the_earlier_results_and_their_entries(whatmatters, scans, output):
    whatmatters(scans, "--prompt", "liver", "--output", output)
    whatmatters(scans, "--prompt", "spleen", "--output", output)
    assert [entry["prompt"] for entry in read_report(output)] == ["spleen", "spleen", "liver", "liver"]


def test_an_entry_whose_files_were_deleted_is_dropped(whatmatters, scans, output):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    (output / "first_liver_relevance.nii.gz").unlink()
    whatmatters(scans / "first.nii.gz", "--prompt", "spleen", "--output", output)
    assert [entry["prompt"] for entry in read_report(output)] == ["spleen"]


@pytest.mark.parametrize("kind", ["relevance", "mask"])
def test_a_foreign_file_in_the_way_is_kept_and_reported(whatmatters, scans, output, kind):
    output.mkdir()
    foreign = output / f"first_liver_{kind}.nii.gz"
    write_volume(sample_volume(), foreign)
    before = foreign.read_bytes()
    run = whatmatters(scans, "--prompt", "liver", "--output", output)
    assert run.code == 1
    assert "was not written by whatmatters" in run.err
    assert foreign.read_bytes() == before
    assert (output / "deeper" / "second_liver_mask.nii.gz").is_file()


@pytest.mark.parametrize("name", ["report.json", "contact_sheet.png"])
def test_a_foreign_report_or_picture_is_found_before_any_work(whatmatters, scans, output, name):
    output.mkdir()
    (output / name).write_text('{"mine": true}')
    run = whatmatters(scans, "--prompt", "liver", "--output", output)
    assert run.code == 2
    assert files_in(output) == {name}
    assert (output / name).read_text() == '{"mine": true}'


def test_a_link_is_never_followed_to_what_it_names(whatmatters, scans, output, tmp_path):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", tmp_path / "other")
    output.mkdir()
    target = tmp_path / "other" / "first_liver_mask.nii.gz"
    os.symlink(target, output / "first_liver_mask.nii.gz")
    before = target.read_bytes()
    assert whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output).code == 1
    assert target.read_bytes() == before


def test_an_unfinished_step_leaves_nothing_behind(tmp_path):
    with ResultFolder(tmp_path) as folder:
        folder.stage("a.nii.gz").write_bytes(b"half")
    assert files_in(tmp_path) == set()


def test_results_say_in_their_header_that_they_are_not_for_clinical_use(whatmatters, scans, output):
    import nibabel

    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    header = nibabel.load(output / "first_liver_mask.nii.gz").header
    assert b"not for clinical use; sample sample 1" in bytes(header["descrip"])
    assert is_result(output / "first_liver_mask.nii.gz")
    assert is_result(output / "contact_sheet.png")
    assert is_result(output / "report.json")
    assert not is_result(scans / "first.nii.gz")
    assert read_volume(output / "first_liver_mask.nii.gz").spatial_shape == (6, 12, 10)
