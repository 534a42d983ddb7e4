"""`whatmatters mass segment`: examples and scans in, label maps, a table and task files out."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from MaskWhatMattersLib.cli import main
from MaskWhatMattersLib.volumes import Volume, orient, read_volume, write_volume
from mass_phantoms import organ_subject
from tiny_mass import tiny_mass
from unit.cli.helpers import files_in
from unit.mass.seg_nrrd_files import write_seg_nrrd

SHAPE = (16, 16, 16)
COLUMNS = ["input", "label", "volume_ml", "quality", "seconds", "model"]
Segment = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mass(tmp_path_factory.mktemp("model"), window=16, spacing_mm=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scans/s0.nii.gz, scans/deeper/s1.nii.gz; examples/a.nii.gz, examples/b.nii.gz; labels/ of the examples."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("scans/deeper", "examples", "labels"):
        (folder / name).mkdir(parents=True)
    for seed, name in enumerate(("scans/s0", "scans/deeper/s1")):
        write_volume(orient(subject(seed)[0], "LPS"), folder / f"{name}.nii.gz")
    for seed, name in enumerate("ab", 2):
        image, labels = subject(seed)
        write_volume(image, folder / "examples" / f"{name}.nii.gz")
        write_volume(
            labels.with_array(np.where(labels.array > 2, 0, labels.array)), folder / "labels" / f"{name}.nii.gz"
        )
    return folder


def subject(seed: int) -> tuple[Volume, Volume]:
    return organ_subject(seed, SHAPE, (8.0, 8.0, 8.0))


@pytest.fixture
def segment(model: Path, capsys: pytest.CaptureFixture[str]) -> Segment:
    """Run `whatmatters mass segment` with the tiny model, without the estimate of the quality unless it is named."""

    def run(*arguments: str | Path, quality: bool = False) -> SimpleNamespace:
        given = [str(argument) for argument in arguments]
        given += [] if "--model" in given else ["--model", str(model)]
        code = main(["mass", "segment", *given, "--device", "cpu", *([] if quality else ["--no-quality"])])
        printed = capsys.readouterr()
        return SimpleNamespace(code=code, out=printed.out, err=printed.err)

    return run


@pytest.fixture
def reference(data: Path) -> tuple[str | Path, ...]:
    return "--reference", data / "examples" / "a.nii.gz", data / "labels" / "a.nii.gz"


@pytest.fixture(scope="module")
def task_file(model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("task") / "two.task.safetensors"
    example = [str(data / folder / "a.nii.gz") for folder in ("examples", "labels")]
    typed = ["mass", "segment", "--reference", *example, "--label", "1=liver", "--label", "2=spleen"]
    assert main([*typed, "--model", str(model), "--save-task", str(path), "-q"]) == 0
    return path


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_gives_label_maps_on_each_scans_grid_and_a_row_per_label(segment, data, reference, output):
    answer = segment(*reference, "--label", "1=liver", data / "scans", "--output", output)
    assert answer.code == 0
    assert files_in(output) == {"s0.nii.gz", "deeper/s1.nii.gz", "report.csv"}
    for name in ("s0.nii.gz", "deeper/s1.nii.gz"):
        found, scan = read_volume(output / name), read_volume(data / "scans" / name)
        assert (found.array.dtype, found.array.shape) == (np.uint8, scan.array.shape)
        np.testing.assert_allclose(found.affine, scan.affine, atol=1e-4)
        assert set(np.unique(found.array)) <= {0, 1, 2}
    rows = rows_of(output)
    assert list(rows[0]) == COLUMNS
    assert [(Path(row["input"]).name, row["label"]) for row in rows] == [
        (name, label) for name in ("s1.nii.gz", "s0.nii.gz") for label in ("liver", "label 2")
    ]
    assert (rows[0]["model"], rows[0]["quality"]) == ("mass-test 0.0.0", "")


def test_volumes_in_the_table_are_those_of_the_label_map(segment, data, reference, output):
    segment(*reference, data / "scans" / "s0.nii.gz", "--output", output)
    found = read_volume(output / "s0.nii.gz")
    for value, row in enumerate(rows_of(output), 1):
        expected = (found.array == value).sum() * found.voxel_volume_ml
        assert float(row["volume_ml"]) == pytest.approx(expected, abs=1e-3)


def test_the_worst_quality_comes_first_on_the_terminal_and_notes_are_said(segment, data, reference, output):
    answer = segment(*reference, data / "scans", "--output", output, quality=True)
    lines = answer.out.splitlines()
    table = [
        line.split()
        for line in lines[lines.index(next(line for line in lines if "quality " in line and "mL  l" in line)) + 1 : -1]
    ]
    qualities = [float(cells[0]) for cells in table]
    assert len(qualities) == 4
    assert qualities == sorted(qualities)
    assert sorted(float(row["quality"]) for row in rows_of(output)) == pytest.approx(qualities, abs=0.006)
    assert "2 done. See report.csv" in lines[-1]
    assert "smaller than 64 voxels" in answer.out


def test_a_task_file_does_what_its_references_do_and_finds_its_model(
    segment, data, reference, output, task_file, model, capsys
):
    scan = data / "scans" / "s0.nii.gz"
    segment(*reference, scan, "--output", output)
    with_model = segment("--task", task_file, scan, "--output", output.with_name("again"))
    assert with_model.code == 0
    np.testing.assert_array_equal(
        read_volume(output / "s0.nii.gz").array, read_volume(output.with_name("again") / "s0.nii.gz").array
    )
    assert [row["label"] for row in rows_of(output.with_name("again"))] == ["liver", "spleen"]


def test_the_model_of_a_tuning_lies_beside_its_task(data, output, task_file, model, capsys):
    folder = output.with_name("tuned")
    folder.mkdir()
    for path in (task_file, *model.parent.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "other.safetensors").write_bytes(b"no model")
    typed = ["--task", str(folder / task_file.name), str(data / "scans" / "s0.nii.gz"), "--output", str(output)]
    assert main(["mass", "segment", *typed, "--no-quality", "--labels", "Spleen"]) == 0
    assert [row["label"] for row in rows_of(output)] == ["spleen"]


def test_names_come_from_the_segmentation(segment, data, output, tmp_path):
    labels = subject(2)[1]
    facts = [{"Name": "liver", "LabelValue": "1"}, {"Name": "spleen", "LabelValue": "2"}]
    marks = write_seg_nrrd(tmp_path / "a.seg.nrrd", np.where(labels.array > 2, 0, labels.array), labels.affine, facts)
    typed = ("--reference", data / "examples" / "a.nii.gz", marks, "--labels", "spleen")
    assert segment(*typed, data / "scans" / "s0.nii.gz", "--output", output).code == 0
    assert [row["label"] for row in rows_of(output)] == ["spleen"]
    assert set(np.unique(read_volume(output / "s0.nii.gz").array)) <= {0, 2}


def test_folders_of_references_are_paired_by_name_and_not_segmented_themselves(segment, data, output):
    answer = segment(
        "--reference",
        data / "examples",
        data / "labels",
        data / "examples",
        data / "scans" / "s0.nii.gz",
        "--output",
        output,
        "--json",
    )
    assert answer.code == 0
    (entry,) = json.loads(answer.out)
    assert Path(entry["input"]).name == "s0.nii.gz"
    assert [label["value"] for label in entry["labels"]] == [1, 2]
    assert entry["windows_looked_at"] >= 1
    alone = segment("--reference", data / "examples", data / "labels", data / "examples", "--output", output)
    assert (alone.code, "is a reference itself" in alone.err) == (2, True)


def test_segmentations_beside_the_scans_are_no_scans(segment, data, reference, output, tmp_path):
    image, labels = subject(0)
    (tmp_path / "scene").mkdir()
    write_volume(image, tmp_path / "scene" / "a.nrrd")
    write_seg_nrrd(tmp_path / "scene" / "a.seg.nrrd", labels.array, labels.affine, [{"Name": "liver"}])
    assert segment(*reference, tmp_path / "scene", "--output", output).code == 0
    assert files_in(output) == {"a.nii.gz", "report.csv"}


def test_a_broken_scan_is_reported_and_the_rest_goes_on(segment, data, reference, output, tmp_path):
    (tmp_path / "damaged.nii.gz").write_bytes(b"no image")
    scan = data / "scans" / "s0.nii.gz"
    answer = segment(*reference, tmp_path / "damaged.nii.gz", scan, "--output", output)
    assert (answer.code, "damaged.nii.gz" in answer.err) == (1, True)
    failed, *done = rows_of(output)
    assert [failed[name] for name in COLUMNS[1:]] == [""] * 5
    assert {row["input"] for row in done} == {str(scan)}
    segment(*reference, scan, "--output", output)
    assert {row["input"] for row in rows_of(output)} == {str(scan)}


def test_probabilities_are_kept_on_request(segment, data, reference, output):
    scan = data / "scans" / "s0.nii.gz"
    segment(*reference, "--label", "1=Left lung", scan, "--output", output, "--keep", "probability")
    assert files_in(output) == {
        *("s0.nii.gz", "s0_left-lung_probability.nii.gz", "s0_label-2_probability.nii.gz", "report.csv")
    }
    probability = read_volume(output / "s0_left-lung_probability.nii.gz")
    assert probability.array.dtype == np.float32
    assert probability.array.shape == read_volume(scan).array.shape


@pytest.mark.parametrize("place", ["scans", "scans/new", ".", "examples", "labels"])
def test_a_folder_of_inputs_or_references_is_refused_as_output(segment, data, reference, place):
    before = files_in(data)
    answer = segment(*reference, data / "scans", "--output", data / place)
    assert (answer.code, "The output folder" in answer.err) == (2, True)
    assert files_in(data) == before


def test_files_of_someone_else_are_never_replaced(segment, data, reference, output, tmp_path):
    output.mkdir()
    (output / "report.csv").write_text("patient,age\n")
    answer = segment(*reference, data / "scans", "--output", output)
    assert (answer.code, "no table that this command wrote" in answer.err) == (2, True)
    mine = tmp_path / "mine.task.safetensors"
    mine.write_text("something else")
    answer = segment(*reference, "--save-task", mine)
    assert (answer.code, "is no task file" in answer.err, mine.read_text()) == (2, True, "something else")


REFUSED = [
    ([], "--reference IMAGE LABELMAP"),
    (["--task", "TASK", "--reference", "SCAN", "SCAN"], "or --task FILE"),
    (["--task", "TASK", "--label", "1=liver"], "--label: only with references"),
    (["--reference", "SCAN", "NOWHERE"], "does not exist"),
    (["--reference", "SCAN", "SCAN"], "were not swapped"),
    (["--reference", "FOLDER", "SCANS"], "No scan in"),
    (["--reference", "EXAMPLE", "LABELS", "--label", "liver"], "Give a value of the label map and its name"),
    (["--reference", "EXAMPLE", "LABELS", "--label", "²=liver"], "Give a value of the label map and its name"),
    (["--reference", "EXAMPLE", "LABELS", "--labels", "7"], "No reference marks 7"),
    (["--reference", "EXAMPLE", "LABELS", "--threshold", "2"], "threshold"),
    (["--reference", "EXAMPLE", "LABELS", "--model", "mass-gone"], "mass-gone"),
    (["--reference", "EXAMPLE", "LABELS", "--save-task", "task.npz"], "A task file ends in"),
    (["--task", "SCAN"], "damaged or no task file"),
    (["--task", "TASK", "--labels", "heart"], "The task has no label heart; it has 1 liver, 2 spleen"),
]


@pytest.mark.parametrize(("typed", "said"), REFUSED)
def test_what_cannot_be_used_is_said_before_any_work(segment, data, output, task_file, typed, said):
    places = {
        "SCAN": data / "scans" / "s0.nii.gz",
        "TASK": task_file,
        "NOWHERE": data / "nowhere.nii.gz",
        "FOLDER": data / "scans",
        "SCANS": data / "labels",
        "EXAMPLE": data / "examples" / "a.nii.gz",
        "LABELS": data / "labels" / "a.nii.gz",
    }
    answer = segment(*(places.get(word, word) for word in typed), data / "scans" / "deeper", "--output", output)
    assert answer.code == 2
    assert said in answer.err
    assert not files_in(output) if output.exists() else True


def test_inputs_and_an_output_are_needed(segment, reference, data):
    answer = segment(*reference)
    assert (answer.code, "INPUT to segment, or --save-task" in answer.err) == (2, True)
    answer = segment(*reference, data / "scans")
    assert (answer.code, "--output DIR is missing" in answer.err) == (2, True)


def test_a_task_of_another_model_names_both(segment, data, output, task_file, tmp_path):
    other = tiny_mass(tmp_path, window=16, spacing_mm=8, seed=1)
    answer = segment("--task", task_file, data / "scans", "--output", output, "--model", other)
    assert (answer.code, "was made with the model mass-test 0.0.0" in answer.err) == (2, True)


def test_quiet_prints_nothing(segment, data, reference, output):
    answer = segment(*reference, data / "scans" / "s0.nii.gz", "--output", output, "-q")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that jobs get in this process."""
    from MaskWhatMattersLib.jobs import mass_segment_job

    names: list[str] = []
    encode, apply = mass_segment_job.encode, mass_segment_job.segment

    def encode_and_note(spec, context, *examples):
        names.extend(example.image.name for example in examples)
        return encode(spec, context, *examples)

    def apply_and_note(spec, context, volume, task):
        names.append(volume.name)
        return apply(spec, context, volume, task)

    monkeypatch.setattr(mass_segment_job, "encode", encode_and_note)
    monkeypatch.setattr(mass_segment_job, "segment", apply_and_note)
    return names


def test_a_scheduler_gives_the_same_results_and_gets_no_names(segment, data, reference, output, tmp_path, seen):
    from distributed import LocalCluster

    scan = data / "scans" / "s0.nii.gz"
    assert segment(*reference, scan, "--output", output).code == 0
    assert seen == ["a", "s0"]
    seen.clear()
    with LocalCluster(n_workers=1, processes=False, protocol="tcp://", dashboard_address=None) as cluster:
        remote = segment(*reference, scan, "--output", tmp_path / "remote", "--scheduler", cluster.scheduler_address)
    assert remote.code == 0, remote.err
    assert seen == ["", ""]
    np.testing.assert_array_equal(
        read_volume(tmp_path / "remote" / "s0.nii.gz").array, read_volume(output / "s0.nii.gz").array
    )
