"""The job behind the tab "Finetune": from data and a model to a model, its notes, and what comes back."""

from __future__ import annotations

import pytest

from class_pictures import TINY, class_cases, write_class_folder
from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.errors import InputError, JobCancelledError
from MaskWhatMattersLib.jobs.finetune_job import (
    FinetuneEstimateSpec,
    FinetuneExportSpec,
    FinetuneSpec,
    estimate,
    export,
    run,
)
from MaskWhatMattersLib.models import read_card
from MaskWhatMattersLib.progress import SilentProgress


class Told(SilentProgress):
    """Keeps log lines; cancels after so many steps."""

    def __init__(self, cancel_after: int = 10**9) -> None:
        self.lines: list[str] = []
        self.left = cancel_after

    def log(self, text: str) -> None:
        self.lines.append(text)

    def stage(self, text: str, total: int = 0) -> None:
        if text == "Finetuning":
            self.trains = True

    def step(self, count: int = 1, message: str = "") -> None:
        if getattr(self, "trains", False):
            self.left -= 1
        if self.left < 0:
            raise JobCancelledError


def spec(folder, **fields):
    values = {"task": "classification", "device": "cpu", "config": TINY, "output": folder / "run", **fields}
    return FinetuneSpec(**values)


def undivided(splits=("train",) * 5):
    cases = class_cases(splits)
    return ImageCases(tuple(type(case)(**{**vars(case), "split": None}) for case in cases.cases))


def test_a_folder_of_classes_becomes_a_model(tmp_path):
    told = Told()
    data = write_class_folder(tmp_path / "data")
    result = run(spec(tmp_path, data=data), told)
    assert result.path == tmp_path / "run" / "model.safetensors"
    assert {"accuracy", "auroc", "auprc", "f1", "loss"} == set(result.metrics)
    assert "Splits: train 8 images of 8 patients, val 2 images of 2 patients." in told.lines
    assert read_card(result.path).architecture == "classifier"


def test_cases_of_the_scene_are_divided_by_patients(tmp_path):
    told = Told()
    result = run(spec(tmp_path, validation=0.4, steps=1), told, undivided())
    assert "Splits: train 6 images of 6 patients, val 4 images of 4 patients." in told.lines
    assert result.steps == 1


def test_a_random_encoder_that_never_learns_is_told(tmp_path):
    told = Told()
    run(spec(tmp_path, config={**TINY, "schedule": "frozen"}, steps=1), told, class_cases())
    assert any("stands still with random weights" in line for line in told.lines)


def test_without_validation_it_says_so(tmp_path):
    told = Told()
    result = run(spec(tmp_path, validation=0, steps=1), told, undivided())
    assert any("Without a validation split nothing is selected" in line for line in told.lines)
    assert "nothing was selected" in result.notes[-1]


def test_few_labels_are_a_note_of_the_result(tmp_path):
    cases = class_cases(("train",) * 4 + ("val",))
    result = run(spec(tmp_path, config={**TINY, "label_fraction": 0.5, "steps": 1}), Told(), cases)
    assert result.notes == ("4 of 8 training patients are used (label_fraction 0.5).",)
    assert "on 4 labelled images" in read_card(result.path).description


def test_a_model_that_was_finetuned_can_be_finetuned_again(tmp_path):
    first = run(spec(tmp_path, steps=1), Told(), class_cases())
    told = Told()
    again = spec(tmp_path, output=tmp_path / "again", start_model=first.path, steps=1, send_back=True)
    result = run(again, told, class_cases())
    assert any("Encoder of run:" in line and "0 missing, 0 unexpected" in line for line in told.lines)
    assert set(result.files) == {"model.safetensors", "model.json"}
    assert result.files["model.safetensors"] == result.path.read_bytes()


def test_another_start_model_does_not_go_on_with_a_run(tmp_path):
    first = run(spec(tmp_path, steps=1), Told(), class_cases())
    run(spec(tmp_path, output=tmp_path / "other", steps=1), Told(), class_cases())
    with pytest.raises(InputError, match="another start model"):
        run(spec(tmp_path, output=tmp_path / "other", start_model=first.path, steps=1), Told(), class_cases())


def test_a_cancel_leaves_a_model_and_the_same_job_goes_on(tmp_path):
    told = Told(cancel_after=2)
    with pytest.raises(JobCancelledError):
        run(spec(tmp_path), told, class_cases())
    assert any(line.startswith("Stopped after step 3; the model so far is") for line in told.lines)
    kept = export(FinetuneExportSpec(output=tmp_path / "run"), Told())
    assert kept.steps == 3
    result = run(spec(tmp_path), Told(), class_cases())
    assert result.steps == 6


def test_a_fresh_run_takes_a_free_name_and_keeps_no_checkpoint(tmp_path):
    run(spec(tmp_path, steps=1), Told(), class_cases())
    fresh = run(spec(tmp_path, steps=1, resume=False), Told(), class_cases())
    assert fresh.path.parent.name == "run-2"
    assert not (fresh.path.parent / "checkpoint.ckpt").exists()


def test_no_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="no images to learn from"):
        run(spec(tmp_path), Told())


def test_an_estimate_needs_no_images():
    found = estimate(FinetuneEstimateSpec(task="classification", config=TINY, device="cpu", steps=9), Told())
    assert found.steps == 9
    assert found.step_s > 0
