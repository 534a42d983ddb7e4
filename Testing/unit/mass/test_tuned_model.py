"""The files that a tuning leaves, and what is said of its result."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.mass.segment import InContextSegmenter
from MaskWhatMattersLib.mass.settings import SegmentSettings
from MaskWhatMattersLib.mass.task_files import read_task
from MaskWhatMattersLib.mass.tune import tune
from MaskWhatMattersLib.mass.tune_cases import TuneCases
from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
from MaskWhatMattersLib.mass.tuned_model import begin_run, export_task, task_note, with_files
from MaskWhatMattersLib.models import read_card
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT, read_checkpoint
from tiny_tuning import TINY, organ_examples, tuning_model

CASES = TuneCases(organ_examples(3), (1,))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuning_model(tmp_path_factory.mktemp("model"))


def tuned(folder: Path, model: Path, cases: TuneCases = CASES, **changes: object) -> Path:
    config = MassTuneConfig.model_validate(TINY | {"steps": 2, "baseline": False} | changes)
    begin_run(folder, config, cases, model)
    tune(config, cases, folder, device="cpu", model=model)
    return folder


@pytest.fixture(scope="module")
def run(model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tokens that were tuned."""
    return tuned(tmp_path_factory.mktemp("runs") / "my organs", model)


def rewrite(run: Path, folder: Path, **changes: object) -> Path:
    """A copy of a run with a changed checkpoint."""
    stored = read_checkpoint(run)
    for path, value in changes.items():
        *parents, last = path.split("__")
        part = stored
        for name in parents:
            part = part[name]
        part[last] = value
    (folder / "run.json").write_bytes((run / "run.json").read_bytes())
    torch.save(stored, folder / CHECKPOINT)
    return folder


def test_tuned_tokens_are_a_task_of_the_start_model(run, model):
    result = export_task(run)
    task = read_task(result.path)
    assert result.path.name == "my-organs.task.safetensors"
    assert (task.tuned, task.model_sha256) == ("tokens", read_card(model).sha256)
    assert task.tokens[0].shape[:2] == task.present.shape == (1, 5)
    assert [label.name for label in task.labels] == ["liver", "spleen", "bladder", "kidney", "aorta"]
    assert result.model_path is None
    assert not (run / "model.safetensors").exists()


def test_the_result_says_what_came_before_and_after(run):
    result, stored = export_task(run), read_checkpoint(run)
    assert [each.in_context for each in result.labels] == [stored["before"][str(value)] for value in range(1, 6)]
    assert [each.tuned for each in result.labels] == [stored["tuned"]["best"]["scores"][str(n)] for n in range(1, 6)]
    assert all(math.isnan(each.baseline) for each in result.labels)
    assert (result.held_out, result.steps) == ((1,), 2)
    assert set(result.metrics) == {"loss", "dice", "in_context_dice"}
    assert "1 case was held out" in result.notes[0]


@pytest.mark.parametrize("mode", ["head", "full"])
def test_what_learned_beside_tokens_is_a_model_of_its_own(model, tmp_path, mode):
    last_step = TuneCases(CASES.examples[:2], ())
    result = export_task(tuned(tmp_path / mode, model, last_step, mode=mode, network_rate=0.1))
    card = read_card(result.model_path)
    task = read_task(result.path)
    assert task.model_sha256 == card.sha256 != read_card(model).sha256
    assert card.description.startswith(f"{read_card(model).name} 0.0.0, tuned on 2 labelled scans")
    assert {label.name for label in card.labels} == {"liver", "spleen", "bladder", "kidney", "aorta"}
    segmenter = InContextSegmenter.load(result.model_path, "cpu")
    before = InContextSegmenter.load(model, "cpu").network.state_dict()
    after = segmenter.network.state_dict()
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert changed == ({"classifier"} if mode == "head" else {"classifier", "decoder", "encoder"})
    segmented = segmenter.segment(CASES.examples[0].image, task, SegmentSettings(quality=False))
    assert segmented.label_map.spatial_shape == CASES.examples[0].image.spatial_shape


def test_a_tuned_task_of_a_finding_does_not_ask_for_tuning(model):
    example = CASES.examples[0]
    labels = (example.labels[0].model_copy(update={"name": "liver tumour"}), *example.labels[1:])
    task = InContextSegmenter.load(model, "cpu").encode([replace(example, labels=labels)])
    assert task.notes[-1].endswith("tune the task on 3 to 10 cases first.")
    assert task_note(task, CASES)["notes"] == list(task.notes[:-1])


def test_without_held_out_cases_the_last_step_is_kept(model, tmp_path):
    folder = tuned(tmp_path / "two", model, TuneCases(CASES.examples[:2], ()), baseline=True)
    result, stored = export_task(folder), read_checkpoint(folder)
    np.testing.assert_array_equal(result.task.tokens[0][0], stored["tuned"]["network"]["tokens.0"].numpy())
    assert "nothing tells whether tuning helped" in result.notes[0]
    assert all(math.isnan(each.tuned) for each in result.labels)


def test_it_says_when_tuning_was_not_worth_it(run, tmp_path):
    plain = {"best": {"scores": {"dice": 0.9}}}
    folder = rewrite(run, tmp_path, tuned__best__step=0, tuned__best__scores={"dice": 0.5}, baseline=plain)
    notes = export_task(folder).notes
    assert any("did not do better than the examples alone" in note for note in notes)
    assert any("Dice 0.90 against 0.50" in note for note in notes)


def test_it_says_when_few_cases_taught_everything(run, tmp_path):
    notes = export_task(rewrite(run, tmp_path, config__mode="full", task__cases=3)).notes
    assert any("Everything learned from 3 cases" in note for note in notes)


def test_files_can_be_sent(run):
    result = with_files(export_task(run))
    assert result.files == {result.path.name: result.path.read_bytes()}


def test_a_checkpoint_of_another_version_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="of another version or damaged"):
        export_task(rewrite(run, tmp_path, task={}))


def test_a_folder_with_a_task_of_something_else_is_refused(model, tmp_path):
    (tmp_path / f"{tmp_path.name}.task.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="holds a task that is not from this command"):
        begin_run(tmp_path, MassTuneConfig(), CASES, model)


def test_other_cases_or_another_split_do_not_go_on(run, model):
    for other in (TuneCases(CASES.examples, (0,)), TuneCases(CASES.examples[:2], ())):
        with pytest.raises(InputError, match="other scans, or with other roles"):
            begin_run(run, MassTuneConfig(), other, model)
