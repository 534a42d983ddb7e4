"""Task files: everything of a task but images comes back; what is not whole is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from MaskWhatMattersLib.errors import InputError, ModelFileError
from MaskWhatMattersLib.mass.example import TaskLabel
from MaskWhatMattersLib.mass.task import ReferenceCrop, Task
from MaskWhatMattersLib.mass.task_files import read_task, require_model, save_task
from MaskWhatMattersLib.models import Code

LIVER = TaskLabel(
    value=1,
    name="liver",
    color=(0.5, 0.25, 1.0),
    type=Code(scheme="SCT", value="10200004", meaning="Liver"),
    volume_ml=1500.0,
)
KIDNEYS = TaskLabel(value=4, name="kidneys", several_parts=True)


def made_up(labels: tuple[TaskLabel, ...] = (LIVER, KIDNEYS)) -> Task:
    random = np.random.default_rng(0)
    return Task(
        labels=labels,
        tokens=tuple(random.normal(size=(3, len(labels), 4, wide)).astype(np.float32) for wide in (32, 16, 8)),
        present=np.array([[True, False], [True, True], [False, True]])[:, : len(labels)],
        spacing_mm=1.5,
        modality="CT",
        model="mass-tiny 1.0",
        model_sha256="a" * 64,
        model_file="/home/somebody/mass-tiny.safetensors",
        tuned="tokens",
        crops=(ReferenceCrop(np.ones((4, 4, 4), np.float16), np.ones((1, 4, 4, 4), np.uint8), (0,), 0),),
        notes=("The example is cropped.",),
        research_only=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "organs.task.safetensors"


def test_a_task_comes_back_without_images_and_places(path: Path) -> None:
    task = made_up()
    assert save_task(task, path) == path
    found = read_task(path)
    assert (found.crops, found.model_file) == ((), "")
    for name in ("labels", "spacing_mm", "modality", "model", "model_sha256", "tuned", "notes", "research_only"):
        assert getattr(found, name) == getattr(task, name)
    np.testing.assert_array_equal(found.present, task.present)
    for one, other in zip(found.tokens, task.tokens, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_file_holds_no_image_and_no_path(path: Path) -> None:
    save_task(made_up(), path)
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {"present", "tokens_0", "tokens_1", "tokens_2"}
    assert b"somebody" not in path.read_bytes()


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    save_task(made_up(), path)
    save_task(made_up(), path)
    assert list(path.parent.iterdir()) == [path]


def test_a_task_of_another_model_is_refused_by_both_names() -> None:
    with pytest.raises(ModelFileError, match=r"mass-tiny 1\.0 \(aaaaaaaaaaaa\).*mass-base 2\.0 \(bbbbbbbbbbbb\)"):
        require_model(made_up(), "mass-base 2.0", "b" * 64)
    require_model(made_up(), "mass-tiny 1.0", "a" * 64)


def test_the_ending_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.task\.safetensors; found liver\.npz"):
        save_task(made_up(), tmp_path / "liver.npz")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not be written"):
        save_task(made_up(), tmp_path / "none" / "liver.task.safetensors")


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_task(path)


@pytest.mark.parametrize("kept", [0, 5, 400])
def test_a_damaged_file_is_refused(path: Path, kept: int) -> None:
    save_task(made_up(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="damaged or no task file"):
        read_task(path)


def test_tokens_of_a_type_that_numpy_does_not_know_are_refused(path: Path) -> None:
    save_torch({"tokens_0": torch.zeros(1, dtype=torch.bfloat16)}, path)
    with pytest.raises(InputError, match="damaged or no task file"):
        read_task(path)


def test_another_safetensors_file_is_no_task(path: Path) -> None:
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError, match="is no task file: it holds weight"):
        read_task(path)


@pytest.mark.parametrize(
    ("label", "said"),
    [(LIVER, "the value 1 is there twice"), (KIDNEYS.model_copy(update={"name": "liver"}), "the name liver")],
)
def test_labels_that_are_there_twice_are_refused(path: Path, label: TaskLabel, said: str) -> None:
    with pytest.raises(InputError, match=said):
        save_task(made_up((LIVER, label)), path)


def test_an_unknown_field_is_refused(path: Path) -> None:
    save_task(made_up(), path)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata()["mass-task"]
    save_file(tensors, path, metadata={"mass-task": header.replace('"several_parts"', '"parts"')})
    with pytest.raises(InputError, match=r"labels\.0\.parts: Extra inputs"):
        read_task(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tokens": made_up((LIVER,)).tokens}, r"tokens_0 is \[3, 1, 4, 32\] for \[3, 2\]"),
        ({"tokens": made_up().tokens[:2]}, "instead of"),
        ({"present": np.array([[True, False]] * 3)}, "2 labels do not fit"),
        ({"tokens": tuple(np.full_like(each, np.nan) for each in made_up().tokens)}, "not finite"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(path: Path, change: dict, said: str) -> None:
    save_task(replace(made_up(), **change), path)
    with pytest.raises(InputError, match=said):
        read_task(path)
