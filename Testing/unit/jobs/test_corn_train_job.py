"""A training as a job: from folders or the scene, from scratch or from a model, stopped, resumed, refused."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from corn_phantoms import atrium_scan, save_tiny_atrium_model, write_atrium_folder
from MaskWhatMattersLib.corn.network import ARCHITECTURE
from MaskWhatMattersLib.corn.training_result import TrainedModel
from MaskWhatMattersLib.datasets.training_cases import CornCases, TrainingCase
from MaskWhatMattersLib.errors import InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.jobs import Event, InlineRunner, Job
from MaskWhatMattersLib.jobs.corn_train_job import CornExportSpec, CornTrainSpec
from MaskWhatMattersLib.models import find_model, read_card, read_model
from MaskWhatMattersLib.training.points import parse_point
from MaskWhatMattersLib.training.runs import free_folder

SHAPE = (8, 16, 16)
TINY: dict[str, Any] = {
    "patch_size": (8, 8, 8),
    "mode": "supervised",
    "steps": 4,
    "log_every": 1,
    "validate_every": 2,
    "save_every": 1,
    "network": {"width": 2, "depth": 2},
    "preprocessing": {"spacing_mm": 2.0},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/scan0 to scan3 and their label maps."""
    return write_atrium_folder(tmp_path_factory.mktemp("data"), 4, SHAPE)


def spec(data: Path, output: Path, **more: Any) -> CornTrainSpec:
    values = {"labelled": 2, "validation": 1, "device": "cpu", "config": TINY} | more
    return CornTrainSpec(images=data / "images", labels=data / "labels", output=output, **values)


def train(*job: Any) -> TrainedModel:
    return InlineRunner().submit(*job).result()


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedModel, list[Event]]:
    """The folder of a run that is done, its result and its events."""
    output = tmp_path_factory.mktemp("runs") / "my site"
    job = InlineRunner().submit(spec(data, output))
    return output, job.result(), job.events()


@pytest.fixture
def run_folder(finished, tmp_path: Path) -> Path:
    """A copy of that folder, to change."""
    return Path(shutil.copytree(finished[0], tmp_path / "my site"))


def stop_at(step: int):
    """Cancel the job when the point of a step is logged."""

    def look(job: Job, event: Event) -> None:
        point = parse_point(event.message)
        if point is not None and point[0] >= step:
            job.cancel()

    return look


def test_the_result_is_a_model_with_a_card_that_tells_how_it_was_made(finished):
    output, trained, _ = finished
    weights, card = read_model(trained.path, architecture=ARCHITECTURE)
    assert trained.path == output / "model.safetensors"
    assert (card.name, trained.name, trained.steps) == ("my-site", "my-site", 4)
    assert any(name.startswith("auxiliary.") for name in weights)
    assert "from scratch on 2 labelled and 0 unlabelled scans; mode supervised. 4 steps" in card.description
    assert (card.licence, card.research_only) == ("your own data", False)
    assert card.training_data[0].cases == 2
    assert card.config["width"] == 2
    assert card.preprocessing["spacing_mm"] == 2.0


def test_the_card_names_no_scan_and_no_folder(finished, data):
    text = (finished[0] / "model.json").read_text() + (finished[0] / "run.json").read_text()
    assert "scan0" not in text
    assert str(data) not in text


def test_the_score_is_the_last_one_of_the_log_and_comes_with_its_protocol(finished):
    output, trained, _ = finished
    rows = list(csv.DictReader((output / "log.csv").open()))
    (metric,) = read_card(trained.path).metrics
    assert trained.validation_dice == pytest.approx(float(rows[-1]["dice"]))
    assert metric.value == pytest.approx(trained.validation_dice, abs=1e-4)
    assert "own scans (1)" in metric.protocol
    assert "weights after step 4" in metric.protocol


def test_every_point_of_the_curves_is_sent(finished):
    points = dict(filter(None, (parse_point(event.message) for event in finished[2])))
    assert list(points) == [1, 2, 3, 4]
    assert all("loss" in values for values in points.values())
    assert [step for step, values in points.items() if "dice" in values] == [2, 4]


def test_in_the_users_folder_the_run_is_a_model_of_its_name(finished):
    assert find_model("my-site", user_folder=_renamed(finished[0])) is not None


def _renamed(folder: Path) -> Path:
    target = folder.parent / "models" / "my-site"
    if not target.exists():
        shutil.copytree(folder, target)
    return target.parent


def test_a_finished_run_that_is_started_again_gives_the_same_model(run_folder, data, finished):
    again = train(spec(data, run_folder))
    assert again.steps == 4
    assert read_card(again.path).sha256 == read_card(finished[1].path).sha256


def test_a_cancel_keeps_a_checkpoint_and_makes_a_model_and_the_next_run_goes_on(data, tmp_path, finished):
    job = InlineRunner(stop_at(2)).submit(spec(data, tmp_path / "my site"))
    with pytest.raises(JobCancelledError):
        job.result()
    assert any("Stopped after step" in event.message for event in job.events())
    assert "2 steps" in read_card(tmp_path / "my site" / "model.safetensors").description
    resumed = train(spec(data, tmp_path / "my site"))
    weights, through = (read_model(path)[0] for path in (resumed.path, finished[1].path))
    assert resumed.steps == 4
    assert all(torch.equal(weights[name], through[name]) for name in through)


def test_a_cancel_before_the_first_step_leaves_no_model(data, tmp_path):
    job = InlineRunner(lambda job, event: job.cancel()).submit(spec(data, tmp_path / "run"))
    with pytest.raises(JobCancelledError):
        job.result()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_run_that_was_killed_can_be_made_a_model(run_folder):
    (run_folder / "model.safetensors").unlink()
    exported = train(CornExportSpec(output=run_folder))
    assert (exported.path.is_file(), exported.steps) == (True, 4)
    assert exported.validation_dice is not None


def test_without_a_log_a_model_has_no_score(run_folder):
    (run_folder / "log.csv").unlink()
    assert train(CornExportSpec(output=run_folder)).validation_dice is None


def test_a_loss_that_is_called_dice_is_no_score(run_folder):
    (run_folder / "log.csv").write_text("step,loss,dice,dice_auxiliary\n1,0.5,0.1,\n2,0.5,0.7,0.6\n3,0.5,0.2,\n")
    assert train(CornExportSpec(output=run_folder)).validation_dice == 0.7


def test_a_folder_without_a_run_cannot_be_made_a_model(tmp_path):
    with pytest.raises(InputError, match=r"no run\.json"):
        train(CornExportSpec(output=tmp_path))


def test_a_damaged_note_of_the_run_is_named(run_folder):
    (run_folder / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json cannot be used"):
        train(CornExportSpec(output=run_folder))


def test_cases_can_be_the_jobs_data_and_a_model_the_start(tmp_path):
    start = save_tiny_atrium_model(tmp_path)
    scans = [atrium_scan(seed, SHAPE) for seed in range(3)]
    pairs = tuple(TrainingCase(f"case{index}", *scan) for index, scan in enumerate(scans[:2]))
    cases = CornCases(pairs, (TrainingCase("other", scans[2][0]),))
    config = {"steps": 1, "mode": "ours", "patch_size": (8, 8, 8), "losses": {"minimum_voxels": 16}}
    job = CornTrainSpec(output=tmp_path / "run", start_model=start, device="cpu", config=config)
    card = read_card(train(job, cases).path)
    assert "adapted from left-atrium 0.0.1 on 2 labelled and 1 unlabelled scans" in card.description
    assert card.research_only
    assert card.licence == "your own data; start model: for tests"
    assert [data.name for data in card.training_data] == ["made up", "Own scans (2 labelled and 1 unlabelled)"]


def test_the_start_models_weights_are_where_the_training_begins(data, tmp_path):
    start = save_tiny_atrium_model(tmp_path)
    config = {name: value for name, value in TINY.items() if name not in ("network", "preprocessing")}
    trained = train(spec(data, tmp_path / "run", start_model=start, steps=1, config=config | {"learning_rate": 1e-9}))
    before, after = read_model(start)[0], read_model(trained.path)[0]
    learned = [name for name in before if name.endswith(("weight", "bias"))]
    assert all(torch.allclose(before[name].float(), after[name].float(), atol=1e-3) for name in learned)


def test_settings_that_do_not_fit_the_start_model_are_all_named(data, tmp_path):
    start = save_tiny_atrium_model(tmp_path)
    config = TINY | {"network": {"width": 4, "depth": 2}, "preprocessing": {"spacing_mm": 1.5}}
    with pytest.raises(
        ModelFileError, match=r"network\.width is 4, the model has 2; preprocessing\.spacing_mm is 1\.5"
    ):
        train(spec(data, tmp_path / "run", start_model=start, config=config))
    assert not (tmp_path / "run").exists()


def test_a_typo_in_the_config_names_the_nearest_field(data, tmp_path):
    with pytest.raises(InputError, match=r'table \[losses\] has no field "cross_wieght" \(did you mean "cross_weight"'):
        train(spec(data, tmp_path / "run", config=TINY | {"losses": {"cross_wieght": 1}}))


def test_a_free_name_is_taken_where_one_must_not_be_replaced(data, run_folder):
    before = (run_folder / "model.safetensors").read_bytes()
    trained = train(spec(data, run_folder, resume=False, steps=1))
    assert trained.path.parent == run_folder.with_name("my site-2")
    assert (run_folder / "model.safetensors").read_bytes() == before
    assert not (trained.path.parent / "checkpoint.ckpt").exists()


def test_a_name_is_not_free_when_a_model_file_or_a_bundled_model_has_it(tmp_path):
    (tmp_path / "mine.safetensors").touch()
    (tmp_path / "empty").mkdir()
    assert free_folder(tmp_path / "mine").name == "mine-2"
    assert free_folder(tmp_path / "empty").name == "empty"


def test_other_settings_are_refused_in_the_folder_of_a_run(data, run_folder):
    with pytest.raises(InputError, match=r"other settings \(learning_rate\)"):
        train(spec(data, run_folder, config=TINY | {"learning_rate": 0.5}))


@pytest.mark.parametrize("changed", [{"labelled": 1}, {"labelled": ("scan1", "scan0")}, {"foreground": 1}])
def test_other_scans_are_refused_in_the_folder_of_a_run(data, run_folder, changed):
    with pytest.raises(InputError, match="a training on other scans"):
        train(spec(data, run_folder, **changed))


def test_a_correction_may_use_the_folder_of_a_try_that_learned_nothing(data, tmp_path):
    with pytest.raises(InputError, match="no voxel holds 5"):
        train(spec(data, tmp_path / "run", foreground=5))
    assert train(spec(data, tmp_path / "run", steps=1)).steps == 1


def test_another_start_is_refused_in_the_folder_of_a_run(data, run_folder, tmp_path):
    start = save_tiny_atrium_model(tmp_path)
    with pytest.raises(InputError, match="another start model"):
        train(spec(data, run_folder, start_model=start))


def test_the_folder_of_another_model_is_refused(data, run_folder):
    (run_folder / "run.json").unlink()
    with pytest.raises(InputError, match="not from this command"):
        train(spec(data, run_folder))


def test_of_several_processes_only_the_first_writes_the_model(data, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    trained = train(spec(data, tmp_path / "run", steps=1))
    assert (trained.name, trained.path.exists(), (tmp_path / "run" / "run.json").exists()) == ("run", False, False)


def test_a_run_cannot_be_kept_in_a_file(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        train(spec(data, tmp_path / "file" / "run"))


def test_scans_are_asked_for_when_there_are_none(tmp_path):
    with pytest.raises(InputError, match="no scans to learn from"):
        train(CornTrainSpec(output=tmp_path / "run"))


def test_unlabelled_scans_are_asked_for_where_the_method_needs_them(data, tmp_path):
    with pytest.raises(InputError, match="learns from unlabelled scans too; found none"):
        train(spec(data, tmp_path / "run", labelled=3, mode="ours", config=TINY))


def test_bad_scans_are_all_named_before_the_first_step(tmp_path):
    pairs = [TrainingCase(f"case{seed}", *atrium_scan(seed, SHAPE)) for seed in range(2)]
    wrong = [replace(case, label_map=case.label_map.with_array(case.label_map.array * 3)) for case in pairs]
    job = CornTrainSpec(output=tmp_path / "run", device="cpu", config=TINY)
    with pytest.raises(InputError, match=r"(?s)case0 must hold 0 and 1 only.*case1 must hold 0 and 1 only"):
        train(job, CornCases(tuple(wrong)))
