"""A scan in, a segmentation out, wherever the job runs; the model stays loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import corn_phantoms
from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.jobs import InlineRunner, LocalWorkerRunner, Runner, corn_segment_job
from MaskWhatMattersLib.jobs.corn_segment_job import CornSegmentSpec


@pytest.fixture(autouse=True)
def _nothing_warm() -> Iterator[None]:
    corn_segment_job._warm.clear()
    yield
    corn_segment_job._warm.clear()


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(corn_phantoms.save_tiny_atrium_model(tmp_path))


@pytest.fixture(params=["inline", "worker"])
def runner(request: pytest.FixtureRequest, shared_runner: LocalWorkerRunner) -> Runner:
    return shared_runner if request.param == "worker" else InlineRunner()


def test_the_segmentation_comes_back_whole(runner: Runner, model: str) -> None:
    scan, truth = corn_phantoms.atrium_scan(0)
    result = runner.submit(CornSegmentSpec(model=model, device="cpu", keep_probability=True), scan).result(300)
    assert result.volume_ml == pytest.approx(truth.array.sum() * truth.voxel_volume_ml, rel=0.2)
    for volume in (result.label_map, result.disagreement, result.probability):
        np.testing.assert_allclose(volume.affine, scan.affine)


def test_stages_are_reported_in_plain_words(model: str) -> None:
    job = InlineRunner().submit(CornSegmentSpec(model=model, device="cpu"), corn_phantoms.atrium_scan(0)[0])
    stages = [event.stage for event in job.events() if event.kind == "stage"]
    assert stages == ["Loading the model", "Segmenting the atrium", "Measuring"]


def test_the_second_scan_does_not_load_again(model: str) -> None:
    spec, runner = CornSegmentSpec(model=model, device="cpu"), InlineRunner()
    runner.submit(spec, corn_phantoms.atrium_scan(0)[0]).result()
    (loaded,) = corn_segment_job._warm.values()
    runner.submit(spec.model_copy(update={"field_of_view": "crop"}), corn_phantoms.atrium_scan(1)[0]).result()
    assert list(corn_segment_job._warm.values()) == [loaded]


def test_a_model_trained_again_under_its_name_is_loaded_again(tmp_path: Path) -> None:
    spec, runner = CornSegmentSpec(model=str(tmp_path / "left-atrium.safetensors"), device="cpu"), InlineRunner()
    versions = []
    for time_s, version in ((1_000, "1.0"), (2_000, "2.0")):
        path = corn_phantoms.save_tiny_atrium_model(tmp_path, version=version)
        os.utime(path, (time_s, time_s))
        versions.append(runner.submit(spec, corn_phantoms.atrium_scan(0)[0]).result().model)
    assert versions == ["left-atrium 1.0", "left-atrium 2.0"]


def test_no_more_than_two_models_stay_loaded(tmp_path: Path) -> None:
    scan, runner = corn_phantoms.atrium_scan(0)[0], InlineRunner()
    for name in ("one", "two", "three"):
        path = str(corn_phantoms.save_tiny_atrium_model(tmp_path, name))
        runner.submit(CornSegmentSpec(model=path, device="cpu"), scan).result()
    assert [each.card.name for each in corn_segment_job._warm.values()] == ["two", "three"]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    scan = corn_phantoms.atrium_scan(0)[0]
    with pytest.raises(ModelFileError, match="does not exist"):
        InlineRunner().submit(CornSegmentSpec(model=str(tmp_path / "none.safetensors")), scan).result()
    with pytest.raises(InputError, match="field_of_view"):
        CornSegmentSpec(field_of_view="half")  # type: ignore[arg-type]
