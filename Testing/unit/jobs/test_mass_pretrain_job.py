"""A MASS pretraining as a job: from a folder or the scene, prepared beforehand, stopped, resumed, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.jobs import Event, InlineRunner, Job
from MaskWhatMattersLib.jobs.mass_pretrain_job import (
    MassPretrainExportSpec,
    MassPretrainSpec,
    mass_pretrain_settings,
)
from MaskWhatMattersLib.models import find_model, read_card
from MaskWhatMattersLib.training.points import parse_point
from tiny_mass_pretraining import scan, tiny_values, write_scans


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scans/0.nii.gz and 1.nii.gz; the cache is filled by whoever comes first."""
    folder = tmp_path_factory.mktemp("place")
    write_scans(folder / "scans")
    return folder


def spec(place: Path, output: Path, **more: Any) -> MassPretrainSpec:
    config = tiny_values(picture_every=0) | more.pop("config", {})
    values = {"images": place / "scans", "cache": place / "cache", "device": "cpu"} | more
    return MassPretrainSpec(output=output, config=config, **values)


def run(*job: Any) -> Any:
    return InlineRunner().submit(*job).result()


def test_a_folder_of_scans_becomes_a_model_that_names_none_of_them(place: Path, tmp_path: Path) -> None:
    job = InlineRunner().submit(spec(place, tmp_path / "run"))
    result = job.result()
    messages = [event.message for event in job.events() if event.kind == "log"]
    assert find_model("run", user_folder=tmp_path) == result.path
    assert read_card(result.path).architecture == "mass"
    assert sum(parse_point(message) is not None for message in messages) == 4
    assert any("2 scans" in note for note in result.notes)


def test_the_cache_can_be_filled_beforehand(place: Path, tmp_path: Path) -> None:
    result = run(spec(place, tmp_path / "run", cache=tmp_path / "cache", only_prepare=True))
    assert result.steps == 0
    assert "2 were prepared now" in result.notes[-1]
    assert not (tmp_path / "run").exists()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_stopped_run_leaves_a_model_and_goes_on(place: Path, tmp_path: Path) -> None:
    def cancel(job: Job, event: Event) -> None:
        point = parse_point(event.message) if event.kind == "log" else None
        if point is not None and point[0] == 2:
            job.cancel()

    job = InlineRunner(cancel).submit(spec(place, tmp_path / "run"))
    with pytest.raises(JobCancelledError):
        job.result()
    assert any("Stopped after step 2" in event.message for event in job.events())
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert run(spec(place, tmp_path / "run", must_go_on=True)).steps == 4
    (tmp_path / "run" / "model.safetensors").unlink()
    assert run(MassPretrainExportSpec(output=tmp_path / "run")).path.is_file()


def test_scans_of_the_scene_are_learned_from_but_not_those_for_tests(place: Path, tmp_path: Path) -> None:
    cases = ImageCases((ImageCase("a", scan(0), "a", "train"), ImageCase("b", scan(1), "b", "test")))
    result = run(spec(place, tmp_path / "run", images=None, steps=1, send_back=True), cases)
    assert read_card(result.path).training_data[0].cases == 1
    assert set(result.files) == {"model.safetensors", "model.json"}
    with pytest.raises(InputError, match='of the split "train"'):
        run(spec(place, tmp_path / "other", images=None), ImageCases(cases.cases[1:]))


def test_without_scans_or_checkpoint_it_says_so(place: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no scans to learn from"):
        run(spec(place, tmp_path / "run", images=None))
    with pytest.raises(InputError, match="no checkpoint"):
        run(spec(place, tmp_path / "run", must_go_on=True))
    assert not (tmp_path / "run").exists()


def test_settings_stand_above_the_preset_and_fields_of_the_job_above_both(tmp_path: Path) -> None:
    found = mass_pretrain_settings(
        MassPretrainSpec(output=tmp_path, preset="paper", steps=9, config={"learning_rate": 0.5, "steps": 7})
    )
    assert (found.labels, found.learning_rate, found.steps) == (13, 0.5, 9)
    with pytest.raises(InputError, match="crop"):
        mass_pretrain_settings(MassPretrainSpec(output=tmp_path, preset="cpu", config={"crop": 128}))
