"""The loop of finetuning: what it selects, when it looks at the test split, and how it resumes."""

import csv
import os
import random
import runpy
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from class_pictures import TINY, class_cases
from MaskWhatMattersLib.errors import InputError, JobCancelledError, ModelFileError
from MaskWhatMattersLib.finetuning.classification import ClassificationTask
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.train import train
from MaskWhatMattersLib.finetuning.transfer import StartEncoder
from MaskWhatMattersLib.models import ModelCard
from MaskWhatMattersLib.networks.encoders import make_encoder
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.training.checkpoints import CHECKPOINT
from MaskWhatMattersLib.training.points import parse_point

SCRIPT = Path(__file__).with_name("finetuning_to_kill.py")
TESTING = Path(__file__).parents[2]
SPEED = {"samples_per_s", "tokens_per_s", "loader_wait", "mfu"}
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{TESTING.parent / 'MaskWhatMatters'}{os.pathsep}{TESTING}",
    "OMP_NUM_THREADS": str(torch.get_num_threads()),
}


class Told(SilentProgress):
    """Keeps what it is told; cancels when a text comes up in a stage, or after so many steps of the training."""

    def __init__(self, cancel_at: str = "never", stop_after: int = 10**9) -> None:
        self.stop_after = stop_after
        self.lines: list[str] = []
        self.stages: list[str] = []
        self.cancel_at = cancel_at

    def stage(self, text, total=0):
        self.stages.append(text)
        if self.cancel_at in text:
            self.cancel_at = "never"
            raise JobCancelledError

    def log(self, text):
        self.lines.append(text)

    def step(self, count=1, message=""):
        self.stop_after -= count * (self.stages[-1] == "Finetuning")
        if self.stop_after == 0:
            raise JobCancelledError

    def points(self):
        return {point[0]: point[1] for line in self.lines if (point := parse_point(line))}


def settings(**fields):
    return FinetuneConfig.model_validate({"task": "classification", **TINY, **fields})


def gradient_of(optimizer):
    """All gradients in one row."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return torch.cat([weight.grad.flatten() for weight in weights])


def curves(folder):
    """Rows of the log without what depends on the computer's speed."""
    with (folder / "log.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [{name: value for name, value in row.items() if name not in SPEED} for row in rows]


def stored(folder):
    return torch.load(folder / CHECKPOINT, weights_only=True)


def test_points_come_with_validation_and_the_test_split_is_looked_at_once(tmp_path):
    told = Told()
    train(settings(), class_cases(("train", "train", "val", "test")), tmp_path, told, device="cpu")
    points = told.points()
    assert sorted(points) == [1, 2, 3, 4, 5, 6]
    assert [step for step, values in points.items() if "val_auroc" in values] == [3, 6]
    assert all(values["samples_per_s"] > 0 and 0 < values["loader_wait"] < 1 for values in points.values())
    assert all(0 < values["mfu"] < 1 for values in points.values())
    assert not any("test" in name for values in points.values() for name in values)
    assert told.stages.count("Classifying the images of the split test") == 1
    assert told.stages[-1] == "Classifying the images of the split test"
    assert set(stored(tmp_path)["test"]) == {"accuracy", "auroc", "auprc", "f1"}


def test_a_finished_run_neither_trains_nor_tests_again(tmp_path):
    cases = class_cases(("train", "train", "val", "test"))
    train(settings(), cases, tmp_path, device="cpu")
    before = stored(tmp_path)["module"]
    again = Told()
    train(settings(), cases, tmp_path, again, device="cpu")
    assert not any("split" in stage for stage in again.stages)
    assert all(torch.equal(value, before[name]) for name, value in stored(tmp_path)["module"].items())


def test_without_a_validation_split_the_test_split_selects_nothing(tmp_path):
    told = Told()
    train(settings(validate_every=1), class_cases(("train", "train", "test")), tmp_path, told, device="cpu")
    assert stored(tmp_path)["best"] == {"step": 0, "scores": {}, "weights": {}}
    assert told.stages.count("Classifying the images of the split test") == 1


def test_the_test_split_is_judged_with_the_best_weights(tmp_path, monkeypatch):
    seen = {}

    def evaluate(self, split, progress):
        seen.setdefault(split, []).append(self.network.head[1].weight.detach().clone())
        return {"auroc": 1.0 / len(seen[split])}  # the first validation is the best one

    monkeypatch.setattr(ClassificationTask, "evaluate", evaluate)
    train(settings(), class_cases(("train", "train", "val", "test")), tmp_path, device="cpu")
    assert len(seen["val"]) == 2
    assert torch.equal(seen["test"][0], seen["val"][0])
    assert not torch.equal(seen["test"][0], seen["val"][1])


def test_the_encoder_of_the_start_model_is_used_and_told(tmp_path):
    config, told = settings(learning_rate=1e-12, steps=1), Told()
    encoder = make_encoder(config.encoder)
    card = ModelCard(name="start", version="1", architecture="encoder", licence="free")
    start = StartEncoder(config.encoder, dict(encoder.state_dict()), card)
    train(config, class_cases(), tmp_path, told, device="cpu", start=start)
    assert any("Encoder of start:" in line and "2 tensors of the head start at random" in line for line in told.lines)
    module = stored(tmp_path)["module"]
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(module[f"network.encoder.{name}"], value)


def test_another_start_network_is_refused_before_anything_is_written(tmp_path):
    config = settings()
    other = config.encoder.model_copy(update={"widths": (8, 8)})
    card = ModelCard(name="start", version="1", architecture="encoder", licence="free")
    start = StartEncoder(other, dict(make_encoder(other).state_dict()), card)
    with pytest.raises(ModelFileError, match=r"widths is \[8, 8\], wanted \[4, 8\]"):
        train(config, class_cases(), tmp_path, device="cpu", start=start)
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_cancel_within_a_validation_loses_no_score(tmp_path):
    cases = class_cases()
    with pytest.raises(JobCancelledError):
        train(settings(), cases, tmp_path / "cancelled", Told(cancel_at="split val"), device="cpu")
    assert stored(tmp_path / "cancelled")["step"] == 3
    told = Told()
    train(settings(), cases, tmp_path / "cancelled", told, device="cpu")
    train(settings(), cases, tmp_path / "whole", device="cpu")
    assert "val_auroc" in told.points()[3]
    assert curves(tmp_path / "cancelled") == curves(tmp_path / "whole")


def test_other_settings_do_not_go_on_with_a_run(tmp_path):
    train(settings(steps=1), class_cases(), tmp_path, device="cpu")
    with pytest.raises(InputError, match=r"other settings \(batch_size\)"):
        train(settings(steps=1, batch_size=2), class_cases(), tmp_path, device="cpu")


def test_a_frozen_encoder_stays_as_it_was(tmp_path):
    train(settings(schedule="frozen", steps=2), class_cases(), tmp_path / "two", device="cpu")
    train(settings(schedule="frozen", steps=1), class_cases(), tmp_path / "one", device="cpu")
    one, two = stored(tmp_path / "one")["module"], stored(tmp_path / "two")["module"]
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {"network.head.1.weight", "network.head.1.bias"}
    assert stored(tmp_path / "one")["stage"] == "head"


def test_a_training_that_diverges_says_so(tmp_path):
    with pytest.raises(InputError, match="diverged"):
        train(settings(learning_rate=1e30, clip=0, warmup=0, steps=20), class_cases(), tmp_path, device="cpu")


def test_too_little_memory_takes_batches_in_portions(tmp_path, monkeypatch):
    sizes = []
    real = ClassificationTask.loss

    def loss(self, batch):
        sizes.append(len(batch.images))
        if len(batch.images) > 2:
            raise torch.OutOfMemoryError
        return real(self, batch)

    monkeypatch.setattr(ClassificationTask, "loss", loss)
    told = Told()
    train(settings(steps=2), class_cases(), tmp_path, told, device="cpu")
    assert sizes[0] == 4
    assert set(sizes[1:]) == {2}
    assert any("batches in 2 portions" in line for line in told.lines)
    assert stored(tmp_path)["config"]["batch_size"] == 4


def test_portions_of_a_batch_give_the_gradients_of_the_whole(tmp_path, monkeypatch):
    gradients, real_loss, real_batch = [], ClassificationTask.loss, ClassificationTask.batch
    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: gradients.append(gradient_of(optimizer)))

    def loss(self, batch):
        if len(batch.images) > 2:
            raise torch.OutOfMemoryError
        return real_loss(self, batch)

    monkeypatch.setattr(ClassificationTask, "batch", lambda self, seed: real_batch(self, 0))
    monkeypatch.setattr(ClassificationTask, "loss", loss)
    for batch_size in (2, 4):  # the second one in two portions, which are the same images
        config = settings(steps=1, batch_size=batch_size, clip=0)
        train(config, class_cases(), tmp_path / str(batch_size), device="cpu")
    hook.remove()
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.skipif(os.name != "posix", reason="needs a signal that kills at once")
def test_a_kill_at_a_random_step_leaves_no_trace_in_curves_and_weights(tmp_path):
    finetuning = runpy.run_path(str(SCRIPT))
    step = random.randrange(1, finetuning["STEPS"])
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    done = subprocess.run([sys.executable, SCRIPT, killed, str(step)], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL, done.stderr
    finetuning["tiny_finetuning"](killed)
    finetuning["tiny_finetuning"](whole)
    assert curves(killed) == curves(whole), f"killed at step {step}"
    ends = [stored(folder) for folder in (killed, whole)]
    for name, value in ends[0]["module"].items():
        assert torch.equal(value, ends[1]["module"][name]), f"{name}, killed at step {step}"
    assert ends[0]["best"]["step"] == ends[1]["best"]["step"]
    assert ends[0]["test"] == ends[1]["test"]


def test_a_run_stopped_while_the_encoder_stands_still_goes_on_with_two_processes(tmp_path):
    finetuning = runpy.run_path(str(SCRIPT))
    with pytest.raises(JobCancelledError):
        finetuning["tiny_finetuning"](tmp_path, Told(stop_after=2))
    assert (stored(tmp_path)["step"], stored(tmp_path)["stage"]) == (2, "head")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = subprocess.run([*launch, SCRIPT, tmp_path], capture_output=True, text=True, env=ENVIRONMENT, timeout=300)
    assert both.returncode == 0, both.stderr
    assert stored(tmp_path)["step"] == finetuning["STEPS"]
    assert [row["step"] for row in curves(tmp_path)] == [str(step) for step in range(1, 9)]
    first, second = (torch.load(tmp_path / f"of-process-{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_label_maps_of_a_classification_are_not_read(tmp_path):
    cases = class_cases()
    broken = replace(cases, cases=tuple(replace(case, label_map=tmp_path / "none.png") for case in cases.cases))
    train(settings(steps=1), broken, tmp_path, device="cpu")
    assert stored(tmp_path)["step"] == 1
