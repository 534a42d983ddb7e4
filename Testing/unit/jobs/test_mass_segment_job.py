"""Examples in, a task out; a task and a scan in, a segmentation out, wherever the jobs run; the model stays loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bright_mass
import corn_phantoms
from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.jobs import InlineRunner, LocalWorkerRunner, Runner, mass_segment_job
from MaskWhatMattersLib.jobs.mass_segment_job import MassEncodeSpec, MassSegmentSpec
from MaskWhatMattersLib.mass.example import Example
from MaskWhatMattersLib.mass.examples import example_from_label_map
from MaskWhatMattersLib.mass.task import Task
from MaskWhatMattersLib.volumes import write_volume

CPU = MassSegmentSpec(device="cpu")


@pytest.fixture(autouse=True)
def _nothing_warm() -> Iterator[None]:
    mass_segment_job._warm.clear()
    yield
    mass_segment_job._warm.clear()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return bright_mass.bright_mass(tmp_path)


@pytest.fixture(params=["inline", "worker"])
def runner(request: pytest.FixtureRequest, shared_runner: LocalWorkerRunner) -> Runner:
    return shared_runner if request.param == "worker" else InlineRunner()


def example(seed: int) -> Example:
    return example_from_label_map(*corn_phantoms.atrium_scan(seed), {1: "atrium"})


def task_of(model: Path) -> Task:
    return InlineRunner().submit(MassEncodeSpec(model=str(model), device="cpu"), example(0)).result()


def test_a_task_is_made_and_applied(runner: Runner, model: Path) -> None:
    scan, truth = corn_phantoms.atrium_scan(1)
    task = runner.submit(MassEncodeSpec(model=str(model), device="cpu"), example(0), example(2)).result(300)
    assert task.present.shape == (2, 1)
    result = runner.submit(CPU, scan, task).result(300)
    assert result.labels[0].volume_ml == pytest.approx(truth.array.sum() * truth.voxel_volume_ml, rel=0.2)
    np.testing.assert_allclose(result.label_map.affine, scan.affine)


def test_a_scan_may_be_a_file_that_the_worker_reads(tmp_path: Path, model: Path) -> None:
    scan, _truth = corn_phantoms.atrium_scan(1)
    holed = scan.with_array(scan.array.astype(np.float32))
    holed.array[0, 0, 0, 0] = np.nan
    write_volume(holed, file := tmp_path / "scan.nii.gz")
    task, runner = task_of(model), InlineRunner()
    with pytest.raises(InputError, match="NaN"):
        runner.submit(CPU, file, task).result()
    filled = runner.submit(CPU.model_copy(update={"replace_nan": 0.0}), file, task).result()
    assert filled.label_map.spatial_shape == scan.spatial_shape
    assert filled.label_map.array.any()


def test_stages_are_reported_in_plain_words(model: Path) -> None:
    made = InlineRunner().submit(MassEncodeSpec(model=str(model), device="cpu"), example(0))
    applied = InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], made.result())
    stages = [[event.stage for event in job.events() if event.kind == "stage"] for job in (made, applied)]
    assert stages == [
        ["Loading the model", "Learning from the examples"],
        ["Preparing the scan", "Segmenting", "Estimating the quality", "Bringing the result to the scan"],
    ]


def test_the_model_of_the_task_is_used_and_stays_loaded(model: Path) -> None:
    task = task_of(model)
    (loaded,) = mass_segment_job._warm.values()
    InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], task).result()
    assert list(mass_segment_job._warm.values()) == [loaded]


def test_a_task_from_elsewhere_finds_its_model_by_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(task_of(model), model_file="/not/here.safetensors")
    with pytest.raises(ModelFileError, match='There is no model "mass-bright"'):
        InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], task).result()
    monkeypatch.setenv("XDG_DATA_HOME", str(model.parent / "data"))
    folder = model.parent / "data" / "MaskWhatMatters" / "models"
    folder.mkdir(parents=True)
    for file in model.parent.glob("mass-bright.*"):
        shutil.copy(file, folder)
    assert InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], task).result().labels[0].volume_ml > 0


def test_a_model_trained_again_under_its_name_refuses_the_old_task(model: Path) -> None:
    task = replace(task_of(model), model_sha256="0" * 64)
    with pytest.raises(ModelFileError, match="was made with the model mass-bright"):
        InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], task).result()


def test_no_more_than_two_models_stay_loaded(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        task_of(bright_mass.bright_mass(tmp_path, name=name))
    assert [each.card.name for each in mass_segment_job._warm.values()] == ["two", "three"]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        task_of(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="threshold"):
        MassSegmentSpec(settings={"threshold": 2})  # type: ignore[arg-type]


def test_task_and_result_come_back_to_a_process_without_torch(model: Path) -> None:
    import pickle
    import subprocess
    import sys

    task = task_of(model)
    result = InlineRunner().submit(CPU, corn_phantoms.atrium_scan(1)[0], task).result()
    file = model.parent / "both.pickle"
    file.write_bytes(pickle.dumps((task, result)))
    code = f"import pickle, sys; pickle.load(open({str(file)!r}, 'rb')); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
