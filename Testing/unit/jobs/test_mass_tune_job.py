"""A tuning as a job: from examples or files, what comes back, stopped, resumed, refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from MaskWhatMattersLib.errors import InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.jobs import Event, InlineRunner, Job
from MaskWhatMattersLib.jobs.mass_tune_job import MassTuneExportSpec, MassTuneSpec, run
from MaskWhatMattersLib.mass.task_files import read_task
from MaskWhatMattersLib.mass.tune_cases import CaseFiles
from MaskWhatMattersLib.mass.tune_result import TunedTask
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.points import parse_point
from tiny_tuning import TINY, organ_examples, tuning_model, write_cases

EXAMPLES = organ_examples(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuning_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory: pytest.TempPathFactory) -> tuple[TunedTask, list[Event]]:
    """The result of a run on examples, and its events."""
    job = InlineRunner().submit(spec(model, tmp_path_factory.mktemp("runs") / "organs"), *EXAMPLES)
    return job.result(), job.events()


def spec(model: Path, output: Path, **more: Any) -> MassTuneSpec:
    return MassTuneSpec(**({"output": output, "model": model, "device": "cpu", "config": TINY | {"steps": 2}} | more))


def tune(*job: Any) -> TunedTask:
    return InlineRunner().submit(*job).result()


def test_the_result_travels_back_without_torch(finished, tmp_path):
    (tmp_path / "result.pickle").write_bytes(pickle.dumps(finished[0]))
    read = "import pickle, sys; from pathlib import Path; r = pickle.loads(Path(sys.argv[1]).read_bytes())"
    answer = subprocess.run(
        [sys.executable, "-c", f"{read}; print('torch' in sys.modules, r.task.tuned)", tmp_path / "result.pickle"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["False", "tokens"]


def test_it_says_who_is_held_out_by_number_and_names_nobody(finished):
    said = [event.message for event in finished[1] if event.kind == "log"]
    (place,) = finished[0].held_out
    assert f"Learning from 2 cases; held out to measure the result: case {place + 1}." in said
    assert not any("subject" in message for message in said)
    assert any(point is not None and "dice" in point[1] for point in map(parse_point, said))


def test_files_are_tuned_on_as_examples_are(model, tmp_path):
    folder = write_cases(tmp_path / "data", 2)
    files = [
        CaseFiles(image=image, label_map=folder / "labels" / image.name)
        for image in sorted((folder / "images").iterdir())
    ]
    names = {1: "liver"}
    result = tune(spec(model, tmp_path / "run", cases=files, names=names, labels=("liver", "4"), send_back=True))
    assert [(label.value, label.name) for label in read_task(result.path).labels] == [(1, "liver"), (4, "label 4")]
    assert (result.held_out, list(result.files)) == ((), [result.path.name])


def test_a_cancel_makes_a_task_and_the_same_job_goes_on(model, tmp_path):
    wanted, told = spec(model, tmp_path / "run", config=TINY | {"held_out": 0}), []

    def stop(job: Job, event: Event) -> None:
        told.append(event.message)
        point = parse_point(event.message)
        if point is not None and "loss" in point[1]:
            job.cancel()

    with pytest.raises(JobCancelledError):
        InlineRunner(stop).submit(wanted, *EXAMPLES).result()
    assert any("Stopped after step 1; the model so far is" in message for message in told)
    first = tune(MassTuneExportSpec(output=tmp_path / "run"))
    result = tune(wanted, *EXAMPLES)
    assert (first.steps, result.steps) == (1, 4)
    assert not np.array_equal(first.task.tokens[0], result.task.tokens[0])


def test_a_fresh_run_takes_a_free_name_and_keeps_no_checkpoint(model, finished):
    taken = finished[0].path.parent
    result = tune(spec(model, taken, resume=False), *EXAMPLES)
    assert result.path == taken.with_name("organs-2") / "organs-2.task.safetensors"
    assert {file.name for file in result.path.parent.iterdir()} == {result.path.name, "run.json", "log.csv"}


def test_without_cases_nothing_begins(model, tmp_path):
    with pytest.raises(InputError, match="no cases to tune on"):
        run(spec(model, tmp_path / "run"), SilentProgress())
    assert not (tmp_path / "run").exists()


def test_cases_that_contradict_each_other_are_refused(model, tmp_path):
    one, other = organ_examples(2)
    renamed = tuple(label.model_copy(update={"name": f"my {label.name}"}) for label in other.labels)
    with pytest.raises(InputError, match='"my liver", an earlier one "liver"'):
        run(spec(model, tmp_path / "run"), SilentProgress(), one, type(other)(other.image, other.masks, renamed))


def test_a_scan_that_is_there_twice_is_refused(model, tmp_path):
    with pytest.raises(InputError, match="The cases 1 and 3 hold the same scan"):
        run(spec(model, tmp_path / "run"), SilentProgress(), *EXAMPLES[:2], EXAMPLES[0])


def test_an_unknown_setting_names_the_nearest(model, tmp_path):
    with pytest.raises(InputError, match=r'no field "patients" \(did you mean "patience"\?\)'):
        run(spec(model, tmp_path / "run", config={"patients": 3}), SilentProgress(), *EXAMPLES)


def test_a_model_that_is_not_there_is_refused_before_the_folder_is_made(tmp_path):
    with pytest.raises(ModelFileError, match="nowhere"):
        run(spec(Path("nowhere.safetensors"), tmp_path / "run"), SilentProgress(), *EXAMPLES)
    assert not (tmp_path / "run").exists()


def test_several_processes_are_refused(model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="runs in one process"):
        run(spec(model, tmp_path / "run"), SilentProgress(), *EXAMPLES)
