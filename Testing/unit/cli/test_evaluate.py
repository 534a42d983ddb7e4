"""`whatmatters evaluate`, run as it is typed on folders of real files."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.volumes import Volume, write_volume
from unit.cli.helpers import AFFINE, files_in


def atrium(shift: int = 0, label: int = 1, affine: np.ndarray = AFFINE) -> Volume:
    """A block of 4 x 5 x 6 voxels, moved along i."""
    array = np.zeros((1, 8, 9, 14), np.uint8)
    array[:, 2:6, 2:7, 2 + shift : 8 + shift] = label
    return Volume(array, affine)


@pytest.fixture
def folders(tmp_path: Path) -> SimpleNamespace:
    """truth/ and prediction/ with the cases a (perfect) and b (shifted), in different formats."""
    for name, shift in (("truth", 0), ("prediction", 1)):
        (tmp_path / name).mkdir()
        write_volume(atrium(), tmp_path / name / "a.nii.gz")
        write_volume(atrium(shift), tmp_path / name / ("b.nrrd" if shift else "b.nii.gz"))
    return SimpleNamespace(truth=tmp_path / "truth", prediction=tmp_path / "prediction", table=tmp_path / "scores.csv")


@pytest.fixture
def evaluate(folders: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Run the command; what is not typed comes from `folders`."""

    def run(*arguments: str | Path) -> SimpleNamespace:
        typed = ["evaluate", *map(str, arguments)]
        defaults = {"--prediction": folders.prediction, "--truth": folders.truth, "--output": folders.table}
        for flag, value in (defaults | {"--spacing": "voxel"}).items():
            typed += [] if flag in typed else [flag, str(value)]
        code = main(typed)
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_one_row_per_case_in_voxel_units(evaluate, folders):
    run = evaluate()
    assert run.code == 0, run.err
    first, second = rows(folders.table)
    assert (first["case"], first["dice"], first["asd_voxel"]) == ("a", "1", "0")
    assert (second["case"], float(second["dice"]), second["hd95_voxel"]) == ("b", pytest.approx(5 / 6, abs=1e-5), "1")
    assert "hd95_mm" not in first


def test_millimetres_and_millilitres_are_measured_with_the_real_spacing(evaluate, folders):
    assert evaluate("--spacing", "mm").code == 0
    _, shifted = rows(folders.table)
    assert float(shifted["hd95_mm"]) == pytest.approx(np.linalg.norm(AFFINE[:3, 0]), abs=1e-3)
    voxel_ml = abs(np.linalg.det(AFFINE[:3, :3])) / 1000
    assert float(shifted["truth_ml"]) == pytest.approx(120 * voxel_ml, rel=1e-4)
    assert float(shifted["difference_ml"]) == pytest.approx(0, abs=1e-6)


def test_the_summary_is_printed_with_agreement_of_volumes(evaluate):
    run = evaluate("--spacing", "mm")
    assert "| 1     |            | no                | dice          | 0.9167 |" in run.out
    assert "Volume of label 1: +0.00 mL against the truth (mean of 2), 95 % limits" in run.out
    assert "2 cases scored" in run.out


def test_seeds_are_summarised_together(evaluate, folders, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    write_volume(atrium(3), second / "a.nii.gz")
    write_volume(atrium(3), second / "b.nii.gz")
    run = evaluate("--prediction", f"one={folders.prediction}", "--prediction", f"two={second}", "--json")
    assert run.code == 0, run.err
    assert [row["seed"] for row in rows(folders.table)] == ["one", "one", "two", "two"]
    dice = json.loads(run.out)["summary"][0]
    assert (dice["metric"], dice["seeds"], dice["cases"]) == ("dice", 2, 2)
    assert dice["mean"] == pytest.approx(((1 + 5 / 6) / 2 + 0.5) / 2)
    assert dice["std_over_seeds"] > 0


def test_the_best_on_test_column_appears_only_where_asked(evaluate, folders, tmp_path):
    other = tmp_path / "step9000"
    other.mkdir()
    for name in ("a", "b"):
        write_volume(atrium(), other / f"{name}.nii.gz")
    assert "best on test" not in evaluate().out
    run = evaluate("--best-on-test", other)
    assert "best on test (as-published protocol)" in run.out
    assert [row["checkpoint"] for row in rows(folders.table)] == ["final", "final", "step9000", "step9000"]


def test_the_largest_component_has_rows_of_its_own(evaluate, folders):
    stray = atrium(1)
    stray.array[0, 0, 0, 0] = 1
    write_volume(stray, folders.prediction / "b.nrrd")
    assert evaluate("--largest-component").code == 0
    whole, piece = (row for row in rows(folders.table) if row["case"] == "b")
    assert (whole["largest_component"], piece["largest_component"]) == ("no", "yes")
    assert float(whole["hd95_voxel"]) <= 1 < 2 * float(piece["dice"]) > 2 * float(whole["dice"])


def test_an_empty_prediction_is_nan_in_the_table_null_in_json_and_counted(evaluate, folders):
    write_volume(atrium(label=0), folders.prediction / "b.nrrd")
    report = json.loads(evaluate("--json").out)
    row = rows(folders.table)[1]
    assert (row["dice"], row["hd95_voxel"], row["empty"]) == ("0", "nan", "prediction")
    assert report["cases"][1]["hd95_voxel"] is None
    assert {s["metric"]: s["missing"] for s in report["summary"]}["hd95_voxel"] == 1


def test_every_label_of_any_truth_is_scored_in_every_case(evaluate, folders):
    write_volume(atrium(label=2), folders.truth / "b.nii.gz")
    run = evaluate()
    found = [(row["case"], row["label"], row["empty"]) for row in rows(folders.table)]
    assert found == [("a", "1", ""), ("a", "2", "both"), ("b", "1", "truth"), ("b", "2", "prediction")]
    assert run.code == 0


def test_chosen_labels_have_their_name(evaluate, folders):
    evaluate("--label", "1=left atrium")
    assert {row["label_name"] for row in rows(folders.table)} == {"left atrium"}


def test_a_label_that_no_truth_holds_is_told(evaluate):
    assert "No truth holds the label 7" in evaluate("--label", "7").err


def test_a_label_that_only_the_prediction_holds_is_told(evaluate, folders):
    write_volume(atrium(label=255), folders.prediction / "b.nrrd")
    assert "b.nrrd also holds 255" in evaluate().err


def test_another_grid_fails_and_the_rest_goes_on(evaluate, folders):
    write_volume(atrium(affine=np.eye(4)), folders.prediction / "b.nrrd")
    run = evaluate("-v")
    assert run.code == 1
    assert "b.nrrd: Prediction and truth have 14 x 9 x 8 voxels each but lie apart" in run.err
    assert [row["case"] for row in rows(folders.table)] == ["a"]


@pytest.mark.parametrize("side", ["truth", "prediction"])
def test_a_damaged_file_fails_and_the_rest_goes_on(evaluate, folders, side):
    (getattr(folders, side) / "a.nii.gz").write_bytes(b"no image")
    run = evaluate()
    assert run.code == 1
    assert "a.nii.gz" in run.err
    assert [row["case"] for row in rows(folders.table)] == ["b"]


def test_a_truth_without_prediction_fails_and_a_prediction_without_truth_is_told(evaluate, folders):
    write_volume(atrium(), folders.truth / "c.nii.gz")
    write_volume(atrium(), folders.prediction / "d.nii.gz")
    run = evaluate()
    assert run.code == 1
    assert "c.nii.gz: no prediction of that name" in run.err
    assert "no truth has the name: d.nii.gz" in run.err
    (folders.truth / "c.nii.gz").unlink()
    assert evaluate().code == 0


def test_nothing_is_written_where_nothing_could_be_scored(evaluate, folders):
    for path in folders.prediction.iterdir():
        path.write_bytes(b"no image")
    run = evaluate("--json")
    assert run.code == 1
    assert json.loads(run.out)["cases"] == []
    assert "Nothing could be scored" in run.err
    assert not folders.table.exists()


def test_quiet_prints_failures_only(evaluate, folders):
    run = evaluate("-q")
    assert (run.out, run.err) == ("", "")
    write_volume(atrium(), folders.truth / "c.nii.gz")
    assert "c.nii.gz" in evaluate("-q").err


def test_an_earlier_table_is_replaced_and_nothing_is_left_beside_it(evaluate, folders, tmp_path):
    before = files_in(tmp_path)
    assert evaluate().code == 0
    assert evaluate("--spacing", "mm").code == 0
    assert "hd95_mm" in rows(folders.table)[0]
    assert files_in(tmp_path) == before | {"scores.csv"}


@pytest.mark.parametrize("content", ["", "case,age\na,51\n", "\x00" * 10_000])
def test_a_table_of_someone_else_is_never_replaced(evaluate, folders, content):
    folders.table.write_text(content)
    run = evaluate()
    assert run.code == 2
    assert "no table that this command wrote" in run.err
    assert folders.table.read_text() == content


def test_a_link_is_never_followed(evaluate, folders, tmp_path):
    evaluate()
    folders.table.rename(tmp_path / "mine.csv")
    folders.table.symlink_to(tmp_path / "mine.csv")
    assert evaluate().code == 2


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("truth/scores.csv", "inside the input folder"),
        ("prediction/deeper/scores.csv", "inside the input folder"),
        ("scores.txt", "ends in .csv"),
        ("truth/a.nii.gz/scores.csv", "inside the input folder"),
        ("file/scores.csv", "cannot be written to"),
    ],
)
def test_a_place_where_no_table_should_go_is_refused(evaluate, tmp_path, place, said):
    (tmp_path / "file").write_text("mine")
    before = files_in(tmp_path)
    run = evaluate("--output", tmp_path / place)
    assert run.code == 2
    assert said in run.err
    assert files_in(tmp_path) == before


def test_the_folder_of_the_table_is_made(evaluate, tmp_path):
    assert evaluate("--output", tmp_path / "new" / "deeper" / "scores.csv").code == 0
    assert rows(tmp_path / "new" / "deeper" / "scores.csv")


@pytest.mark.parametrize("label", ["0", "atrium", "1.5", "=name"])
def test_a_label_that_is_no_whole_number_is_refused(evaluate, label):
    run = evaluate("--label", label)
    assert run.code == 2
    assert "whole number other than 0" in run.err


def test_truths_without_any_label_are_refused(evaluate, folders):
    for path in folders.truth.iterdir():
        write_volume(atrium(label=0), path)
    run = evaluate()
    assert run.code == 2
    assert "No truth holds a label" in run.err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--prediction", "{p}", "--prediction", "{o}"], "need a name each"),
        (["--prediction", "s={p}", "--prediction", "s={o}"], "need a name each"),
        (["--prediction", "s={p}", "--prediction", "t={p}"], "more than once"),
        (["--prediction", "s={p}", "--best-on-test", "{o}"], "found s"),
        (["--prediction", "{p}", "--best-on-test", "s={o}"], "leave the name out"),
        (["--prediction", "={p}"], "NAME=FOLDER"),
        (["--prediction", "{t}"], "everything would agree"),
        (["--prediction", "{o}"], "is not a folder"),
    ],
)
def test_folders_that_cannot_be_meant_are_refused(evaluate, folders, tmp_path, typed, said):
    places = {"p": folders.prediction, "t": folders.truth, "o": tmp_path / "other"}
    run = evaluate(*(text.format(**places) for text in typed))
    assert run.code == 2
    assert said in run.err
    assert not folders.table.exists()


def test_a_folder_whose_name_holds_an_equals_sign_is_taken_as_it_is(evaluate, folders, tmp_path):
    folders.prediction.rename(tmp_path / "lr=0.01")
    assert evaluate("--prediction", tmp_path / "lr=0.01").code == 0


def test_help_needs_none_of_the_heavy_libraries():
    code = (
        "import sys; from MaskWhatMattersLib.cli.main import build_parser; build_parser().format_help(); "
        "sys.exit(str([name for name in ('torch', 'monai', 'scipy', 'SimpleITK') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.strip() == "[]"


def test_a_full_disk_keeps_the_earlier_table_and_is_told(evaluate, folders, tmp_path):
    evaluate()
    before, content = files_in(tmp_path), folders.table.read_text()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        run = evaluate("--spacing", "mm")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run.code == 1
    assert "could not be written: File too large. Free some space" in run.err
    assert folders.table.read_text() == content
    assert files_in(tmp_path) == before
