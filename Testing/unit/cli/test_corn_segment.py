"""`whatmatters corn segment`: files in, label maps and a table out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import corn_phantoms
from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.corn.report import dice
from MaskWhatMattersLib.volumes import Volume, read_volume, write_volume
from unit.cli.helpers import files_in

COLUMNS = "input,volume_ml,agreement,boundary_entropy,review,seconds,model"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    corn_phantoms.save_tiny_atrium_model(folder)
    corn_phantoms.save_tiny_finder(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """images/scan0.nii.gz, images/scan1.nii.gz and their labels/."""
    return corn_phantoms.write_atrium_folder(tmp_path / "data", 2)


@pytest.fixture
def segment(models: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run `whatmatters corn segment` with the tiny models."""

    def run(*arguments: str | Path) -> SimpleNamespace:
        given = [str(argument) for argument in arguments]
        if "--model" not in given:
            given += ["--model", str(models / "left-atrium.safetensors")]
        given += ["--finder", str(models / "left-atrium-finder.safetensors"), "--device", "cpu"]
        code = main(["corn", "segment", *given])
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


Segment = Callable[..., SimpleNamespace]


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_gives_label_maps_on_each_scans_grid_and_a_table(segment: Segment, folder: Path, output: Path) -> None:
    answer = segment(folder / "images", "--output", output)
    assert answer.code == 0
    assert files_in(output) == {"scan0.nii.gz", "scan1.nii.gz", "report.csv"}
    for name in ("scan0.nii.gz", "scan1.nii.gz"):
        found, truth = read_volume(output / name), read_volume(folder / "labels" / name)
        assert found.array.dtype == np.uint8
        np.testing.assert_allclose(found.affine, truth.affine, atol=1e-4)
        assert dice(found.array > 0, truth.array > 0) > 0.9
    assert (output / "report.csv").read_text().splitlines()[0] == COLUMNS
    assert "2 done, 2 to review" in answer.out  # smaller than any real atrium
    assert "research use only" in answer.out


def test_verbose_tells_each_stage_once(segment: Segment, folder: Path, output: Path) -> None:
    answer = segment(folder / "images" / "scan0.nii.gz", "--output", output, "-v")
    assert answer.out.count("Segmenting the atrium") == 1


def test_the_table_says_what_the_label_map_holds(segment: Segment, folder: Path, output: Path) -> None:
    segment(folder / "images" / "scan0.nii.gz", "--output", output)
    (row,) = rows_of(output)
    label_map = read_volume(output / "scan0.nii.gz")
    assert row["input"] == str(folder / "images" / "scan0.nii.gz")
    assert float(row["volume_ml"]) == pytest.approx(label_map.array.sum() * label_map.voxel_volume_ml, abs=1e-3)
    assert 0.9 < float(row["agreement"]) <= 1
    assert 0 < float(row["boundary_entropy"]) < 1
    assert (row["review"], row["model"]) == ("yes", "left-atrium 0.0.1")
    assert float(row["seconds"]) > 0


def test_a_broken_file_is_reported_and_the_rest_goes_on(segment: Segment, folder: Path, output: Path) -> None:
    (folder / "images" / "damaged.nii.gz").write_bytes(b"no image")
    answer = segment(folder / "images", "--output", output, "--json")
    assert answer.code == 1
    assert "damaged.nii.gz" in answer.err
    assert files_in(output) == {"scan0.nii.gz", "scan1.nii.gz", "report.csv"}
    failed, *done = rows_of(output)
    assert [failed[name] for name in COLUMNS.split(",")[1:]] == ["", "", "", "failed", "", ""]
    assert len(done) == 2
    entries = json.loads(answer.out)
    assert "damaged" in entries[0]["error"]
    assert entries[1]["review_reasons"][0].startswith("unusually small")
    assert entries[1]["label_map"] == "scan0.nii.gz"


@pytest.mark.parametrize("place", ["images", "images/deeper", ".", "labels/.."])
def test_an_output_folder_that_holds_or_lies_in_the_inputs_is_refused(
    segment: Segment, folder: Path, place: str
) -> None:
    before = files_in(folder)
    answer = segment(folder / "images", "--output", folder / place)
    assert answer.code == 2
    assert "The output folder" in answer.err
    assert files_in(folder) == before


def test_the_folder_of_an_input_file_is_refused(segment: Segment, folder: Path) -> None:
    before = (folder / "images" / "scan0.nii.gz").read_bytes()
    answer = segment(folder / "images" / "scan0.nii.gz", "--output", folder / "images")
    assert (answer.code, "is the folder of the input" in answer.err) == (2, True)
    assert (folder / "images" / "scan0.nii.gz").read_bytes() == before


def test_a_file_of_someone_else_is_never_replaced(segment: Segment, folder: Path, output: Path) -> None:
    output.mkdir()
    (output / "scan0.nii.gz").write_bytes((folder / "labels" / "scan0.nii.gz").read_bytes())
    answer = segment(folder / "images", "--output", output)
    assert answer.code == 1
    assert "was not written by whatmatters" in answer.err
    assert (output / "scan0.nii.gz").read_bytes() == (folder / "labels" / "scan0.nii.gz").read_bytes()
    (output / "report.csv").write_text("patient,age\n")
    assert segment(folder / "images", "--output", output).code == 2
    assert (output / "report.csv").read_text() == "patient,age\n"


def test_a_second_run_replaces_its_own_results_and_keeps_other_rows(
    segment: Segment, folder: Path, output: Path
) -> None:
    for name in ("scan0", "scan1", "scan0"):
        assert segment(folder / "images" / f"{name}.nii.gz", "--output", output).code == 0
    assert sorted(Path(row["input"]).name for row in rows_of(output)) == ["scan0.nii.gz", "scan1.nii.gz"]


def test_a_row_goes_when_another_scan_takes_its_label_map(segment: Segment, folder: Path, output: Path) -> None:
    other = folder / "other" / "scan0.nii.gz"
    other.parent.mkdir()
    other.write_bytes((folder / "images" / "scan1.nii.gz").read_bytes())
    segment(folder / "images" / "scan0.nii.gz", "--output", output)
    segment(other, "--output", output)
    assert [row["input"] for row in rows_of(output)] == [str(other)]


def test_scans_of_one_name_get_distinct_label_maps(segment: Segment, folder: Path, output: Path) -> None:
    write_volume(corn_phantoms.atrium_scan(5)[0], folder / "images" / "scan0.nrrd")
    assert segment(folder / "images" / "scan0.nrrd", folder / "images" / "scan0.nii.gz", "--output", output).code == 0
    maps = {name for name in files_in(output) if name.endswith(".nii.gz")}
    assert len(maps) == 2
    assert all(name.startswith("scan0-") for name in maps)


def test_folders_keep_their_structure(segment: Segment, folder: Path, output: Path) -> None:
    write_volume(corn_phantoms.atrium_scan(5)[0], folder / "images" / "scan0.nii.gz")
    (folder / "images" / "site").mkdir()
    (folder / "images" / "scan1.nii.gz").rename(folder / "images" / "site" / "scan0.nii.gz")
    segment(folder / "images", "--output", output)
    assert files_in(output) == {"scan0.nii.gz", "site/scan0.nii.gz", "report.csv"}


def test_further_maps_are_kept_on_request(segment: Segment, folder: Path, output: Path) -> None:
    scan = folder / "images" / "scan0.nii.gz"
    segment(scan, "--output", output, "--keep", "disagreement", "--keep", "probability")
    label_map = read_volume(output / "scan0.nii.gz").array[0] > 0
    probability = read_volume(output / "scan0_probability.nii.gz").array[0]
    assert read_volume(output / "scan0_disagreement.nii.gz").array.dtype == np.float32
    assert (probability[label_map] > 0.4).mean() > 0.99


def test_names_that_would_meet_are_refused(segment: Segment, folder: Path, output: Path) -> None:
    (folder / "images" / "scan1.nii.gz").rename(folder / "images" / "scan0_disagreement.nii.gz")
    answer = segment(folder / "images", "--output", output, "--keep", "disagreement")
    assert (answer.code, "Rename one of them" in answer.err) == (2, True)


def test_ct_is_done_and_marked_for_review(segment: Segment, folder: Path, output: Path) -> None:
    scan = folder / "images" / "scan0.nii.gz"
    answer = segment(scan, "--output", output, "--modality", "CT")
    assert answer.code == 0
    assert "made for MR" in answer.out


def test_nothing_found_gives_an_empty_label_map_and_empty_numbers(
    segment: Segment, tmp_path: Path, output: Path
) -> None:
    noise = np.random.default_rng(0).normal(200, 25, (1, 10, 50, 50)).astype(np.int16)
    write_volume(Volume(noise, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / "empty.nii.gz")
    answer = segment(tmp_path / "empty.nii.gz", "--output", output, "--field-of-view", "full", "--json")
    assert answer.code == 0
    (row,) = rows_of(output)
    assert (row["volume_ml"], row["agreement"], row["boundary_entropy"], row["review"]) == ("0.0", "", "", "yes")
    assert json.loads(answer.out)[0]["review_reasons"] == ["no left atrium found"]
    assert not read_volume(output / "empty.nii.gz").array.any()


def test_a_model_that_is_not_there_ends_the_run_before_it_begins(segment: Segment, folder: Path, output: Path) -> None:
    answer = segment(folder / "images", "--output", output, "--model", "right-atrium")
    assert (answer.code, "right-atrium" in answer.err) == (2, True)
    assert not output.exists()


def test_a_model_of_another_kind_ends_the_run(segment: Segment, folder: Path, models: Path, output: Path) -> None:
    finder = models / "left-atrium-finder.safetensors"
    answer = segment(folder / "images", "--output", output, "--model", finder)
    assert (answer.code, "corn-vnet-pair is wanted" in answer.err) == (2, True)


def test_quiet_prints_nothing_and_help_needs_no_torch(segment: Segment, folder: Path, output: Path) -> None:
    answer = segment(folder / "images" / "scan0.nii.gz", "--output", output, "-q")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_inputs_that_do_not_exist_are_named_with_the_command(segment: Segment, tmp_path: Path, output: Path) -> None:
    answer = segment(tmp_path / "nowhere", "--output", output)
    assert (answer.code, "whatmatters corn segment" in answer.err) == (2, True)
