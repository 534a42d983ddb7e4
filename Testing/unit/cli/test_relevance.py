"""`whatmatters relevance` from its arguments to its files and exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.volumes import read_volume, write_volume
from unit.cli.helpers import files_in, read_report, sample_volume


def test_each_input_and_prompt_gets_a_map_and_a_mask_below_the_output(whatmatters, scans, output):
    run = whatmatters(scans, "--prompt", "Left Lung", "--prompt", "liver", "--output", output)
    assert run.code == 0, run.err
    names = {
        f"{name}_{slug}_{kind}.nii.gz"
        for name in ("first", "deeper/second")
        for slug in ("left-lung", "liver")
        for kind in ("relevance", "mask")
    }
    assert files_in(output) == names | {"report.json", "contact_sheet.png"}


def test_results_lie_on_the_inputs_own_grid(whatmatters, scans, output):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    source = read_volume(scans / "first.nii.gz")
    relevance = read_volume(output / "first_liver_relevance.nii.gz")
    mask = read_volume(output / "first_liver_mask.nii.gz")
    for result in (relevance, mask):
        np.testing.assert_allclose(result.affine, source.affine, atol=1e-4)
        assert result.spatial_shape == source.spatial_shape
    assert relevance.array.dtype == np.float32
    assert mask.array.dtype == np.uint8
    assert 0 <= relevance.array.min() <= relevance.array.max() <= 1
    np.testing.assert_array_equal(mask.array, source.array > 150)


def test_the_threshold_changes_the_mask_and_not_the_map(whatmatters, scans, output):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output, "--threshold", 0.3)
    source = read_volume(scans / "first.nii.gz")
    np.testing.assert_array_equal(read_volume(output / "first_liver_mask.nii.gz").array, source.array > 50)
    assert read_volume(output / "first_liver_relevance.nii.gz").array.max() == pytest.approx(0.9)


@pytest.mark.parametrize("verdict", ["absent", "untrained"])
def test_what_is_not_there_is_a_result_with_an_empty_mask(whatmatters, scans, output, verdict):
    run = whatmatters(scans / "first.nii.gz", "--prompt", verdict, "--output", output)
    assert run.code == 0
    assert [entry["verdict"] for entry in read_report(output)] == [verdict]
    assert not read_volume(output / f"first_{verdict}_mask.nii.gz").array.any()
    assert not read_volume(output / f"first_{verdict}_relevance.nii.gz").array.any()


def test_a_localizer_that_knows_the_concept_nowhere_gives_exit_code_2(whatmatters, scans, output):
    assert whatmatters(scans, "--prompt", "unknown", "--output", output).code == 2


def test_the_report_lists_what_was_found_where_and_by_what(whatmatters, scans, output):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    (entry,) = read_report(output)
    assert entry["input"] == str(scans / "first.nii.gz")
    expected = {"prompt": "liver", "verdict": "found", "score": 0.9, "localizer": "sample", "model_version": "sample 1"}
    assert expected.items() <= entry.items()
    assert entry["seconds"] >= 0
    assert (output / entry["mask"]).is_file()
    assert entry["volume_ml"] == pytest.approx(16 * 0.8**2 * 2.5 / 1000, rel=0.05)


def test_json_prints_the_report_alone_on_stdout(whatmatters, scans, output):
    run = whatmatters(scans, "--prompt", "liver", "--output", output, "--json")
    assert json.loads(run.out) == read_report(output)
    assert "first.nii.gz" in run.err


def test_quiet_prints_nothing_but_errors(whatmatters, scans, output):
    (scans / "broken.nii.gz").write_bytes(b"broken")
    run = whatmatters(scans, "--prompt", "liver", "--output", output, "-q")
    assert run.out == ""
    assert run.err.count("\n") == 1
    assert "broken.nii.gz" in run.err


def test_verbose_prints_stages_and_log_lines(whatmatters, scans, output):
    run = whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output, "-v")
    assert "first: Looking" in run.out
    assert "looking for liver" in run.out


def test_a_log_file_gets_one_plain_line_per_result(whatmatters, scans, output):
    run = whatmatters(scans, "--prompt", "liver", "--output", output)
    assert run.out.splitlines()[:2] == [
        f"[1/2] {scans / 'deeper' / 'second.nrrd'}: liver: found, score 0.90, 0.0 mL",
        f"[2/2] {scans / 'first.nii.gz'}: liver: found, score 0.90, 0.0 mL",
    ]
    assert "\x1b" not in run.out + run.err


def test_the_contact_sheet_is_a_picture_with_a_row_for_each_input(whatmatters, scans, output):
    whatmatters(scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    one = Image.open(output / "contact_sheet.png").size
    whatmatters(scans, "--prompt", "liver", "--output", output)
    assert Image.open(output / "contact_sheet.png").size[1] > 1.5 * one[1]


def test_a_picture_is_an_input_without_millilitres(whatmatters, tmp_path, output):
    Image.fromarray((sample_volume().array[0, 2]).astype(np.uint8)).save(tmp_path / "film.png")
    assert whatmatters(tmp_path / "film.png", "--prompt", "left lung", "--output", output).code == 0
    assert read_report(output)[0]["volume_ml"] is None
    assert read_volume(output / "film_left-lung_mask.nii.gz").spatial_shape == (1, 12, 10)


def test_two_inputs_of_one_name_do_not_overwrite_each_other(whatmatters, tmp_path, output):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_volume(sample_volume(), tmp_path / folder / "scan.nii.gz")
    write_volume(sample_volume(), tmp_path / "a" / "scan.nrrd")
    inputs = [tmp_path / "a" / "scan.nii.gz", tmp_path / "b" / "scan.nii.gz", tmp_path / "a" / "scan.nrrd"]
    assert whatmatters(*inputs, "--prompt", "liver", "--output", output).code == 0
    assert len({entry["mask"] for entry in read_report(output)}) == 3
    assert len([name for name in files_in(output) if name.endswith("_mask.nii.gz")]) == 3


def test_an_input_named_twice_is_processed_once(whatmatters, scans, output):
    whatmatters(scans, scans / "first.nii.gz", "--prompt", "liver", "--output", output)
    assert len(read_report(output)) == 2


def test_prompts_with_one_slug_get_files_of_their_own(whatmatters, scans, output):
    run = whatmatters(scans / "first.nii.gz", "--prompt", "left lung", "--prompt", "left-lung!", "--output", output)
    assert run.code == 0
    assert len([name for name in files_in(output) if name.endswith("_mask.nii.gz")]) == 2


def test_a_settings_file_gives_what_was_not_typed(whatmatters, scans, tmp_path, output):
    config = tmp_path / "settings.toml"
    config.write_text('prompts = ["liver"]\ninputs = "scans/first.nii.gz"\noutput = "results"\nthreshold = 0.3\n')
    assert whatmatters("--config", config, "--prompt", "spleen").code == 0
    (entry,) = read_report(output)
    assert (entry["prompt"], entry["threshold"]) == ("spleen", 0.3)


def test_the_users_region_is_a_localizer(whatmatters, scans, tmp_path, output):
    region = sample_volume()
    write_volume(region.with_array((region.array > 50).astype(np.uint8)), tmp_path / "region.nii.gz")
    run = whatmatters(
        *(scans / "first.nii.gz", "--localizer", "roi", "--roi", tmp_path / "region.nii.gz"),
        *("--prompt", "my region", "--output", output),
    )
    assert run.code == 0, run.err
    np.testing.assert_array_equal(read_volume(output / "first_my-region_mask.nii.gz").array, region.array > 50)


def test_ctrl_c_keeps_what_is_done_and_leaves_nothing_half_done(whatmatters, scans, output):
    run = whatmatters(scans, "--prompt", "interrupt", "--output", output)
    assert run.code == 130
    assert "stopped" in run.err
    assert len(read_report(output)) == 1
    done = {f"deeper/second_interrupt_{kind}.nii.gz" for kind in ("relevance", "mask")}
    assert files_in(output) == done | {"report.json", "contact_sheet.png"}


def test_help_shows_an_example_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as end:
        main(["relevance", "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "--prompt liver" in printed
    assert "Exit codes" in printed
