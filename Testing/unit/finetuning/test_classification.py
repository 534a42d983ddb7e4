"""The classification task: its classes, batches, loss and measures on whole images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from class_pictures import TINY, class_cases
from finetuning_phantoms import train_few
from host_waits import HostWaits
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.classification import ClassificationTask
from MaskWhatMattersLib.finetuning.config import FinetuneConfig
from MaskWhatMattersLib.finetuning.optimizer import follow_phase, make_optimizer, set_stage
from MaskWhatMattersLib.finetuning.schedules import Phase
from MaskWhatMattersLib.finetuning.train import TaskStep
from MaskWhatMattersLib.progress import SilentProgress
from MaskWhatMattersLib.volumes import Volume


def task_of(cases, **fields):
    config = FinetuneConfig.model_validate({"task": "classification", **TINY, **fields})
    return ClassificationTask(config, cases, torch.device("cpu"), SilentProgress())


def measured(task, split):
    """As the loop does it."""
    task.network.eval()
    with torch.no_grad():
        return task.evaluate(split, SilentProgress())


def without_class(cases, name):
    return replace(cases, cases=tuple(replace(c, class_name=None) if c.name == name else c for c in cases.cases))


def test_it_learns_to_tell_two_classes_apart():
    torch.manual_seed(0)
    task = task_of(class_cases(("train",) * 4 + ("val", "val")))
    before = measured(task, "train")["auroc"]
    train_few(task, 30, learning_rate=0.02)
    scores = measured(task, "val")
    assert scores == pytest.approx({"accuracy": 1.0, "auroc": 1.0, "auprc": 1.0, "f1": 1.0})
    assert before < 1.0


def test_a_batch_is_a_function_of_its_seed_and_matches_images_with_classes():
    task = task_of(class_cases())
    first, again, other = task.batch(3), task.batch(3), task.batch(4)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (4, 1, 16, 16)
    striped = first.images[:, 0].mean(2).std(1) > 0.5  # bright rows
    assert torch.equal(striped.long(), first.classes)


def test_the_loss_is_cross_entropy_of_smoothed_classes():
    task = task_of(class_cases(), head={"label_smoothing": 0.2})
    batch = task.batch(0)
    losses = task.loss(batch)
    logits = task.network(batch.images)
    assert losses.total.item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, batch.classes, label_smoothing=0.2).item()
    )
    assert losses.parts["batch_accuracy"].item() == pytest.approx(
        (logits.argmax(1) == batch.classes).float().mean().item()
    )


@pytest.mark.parametrize("kind", ["residual", "vit"])
def test_a_step_never_waits_for_the_device(kind):
    vit = {"kind": "vit", "spatial_dims": 2, "image_size": [16, 16], "patch_size": [8, 8], "width": 8, "heads": 2}
    task = task_of(class_cases(), encoder=TINY["encoder"] if kind == "residual" else {**vit, "depth": 1})
    step, optimizer = TaskStep(task), make_optimizer(task._config, task.network)
    batch = task.batch(0)
    with HostWaits() as waits:
        set_stage(task.network, "all")
        follow_phase(optimizer, 0.1, Phase("all", 1.0))
        step(batch).total.backward()
        torch.nn.utils.clip_grad_norm_(task.network.parameters(), 1.0, error_if_nonfinite=False)
        optimizer.step()
        optimizer.zero_grad()
    assert waits.found == []


def test_slices_of_a_volume_are_judged_together():
    slices = np.random.default_rng(0).normal(100, 20, (1, 3, 16, 16)).astype(np.float32)
    volume = ImageCase("volume", Volume(slices, np.eye(4)), "volume", "val", "striped")
    pictures = class_cases(("train",))
    task = task_of(ImageCases((*pictures.cases, volume)))
    assert len(task._splits["val"].scans) == 3
    assert measured(task, "val")["accuracy"] in (0.0, 1.0)  # one case, not three


def test_an_image_larger_than_a_crop_is_judged_as_a_whole():
    task = task_of(class_cases(), preprocessing={"spatial_dims": 2, "longest_side": 24})
    seen = []
    task.network.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    measured(task, "val")
    assert seen == [(16, 1, 16, 16)]  # four windows of each of four pictures


class ByBrightness(torch.nn.Module):
    """The second class where a crop is brighter than its image."""

    def forward(self, images):
        brightness = images.flatten(1).mean(1)
        return 100 * torch.stack([-brightness, brightness], dim=1)


def test_all_windows_of_a_larger_image_have_the_same_say():
    cases = []
    for number, (class_name, split) in enumerate([("plain", "train"), ("striped", "train"), ("striped", "val")]):
        array = np.full((1, 1, 24, 24), 200, np.float32)
        array[..., :12, :12] = 0  # only the first of four windows is dark
        array[..., 23, number] = 190  # no two images are the same
        volume = Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0]), has_physical_scale=False)
        cases.append(ImageCase(str(number), volume, str(number), split, class_name))
    task = task_of(ImageCases(tuple(cases)), preprocessing={"spatial_dims": 2, "longest_side": 24})
    task.network = ByBrightness()
    assert measured(task, "val")["accuracy"] == 1.0


def test_an_encoder_with_three_channels_is_given_three():
    task = task_of(class_cases(), encoder={**TINY["encoder"], "in_channels": 3})
    assert task.batch(0).images.shape[1] == 3
    assert 0 <= measured(task, "val")["accuracy"] <= 1


def test_validation_of_one_class_selects_by_accuracy():
    cases = class_cases()
    one = replace(cases, cases=tuple(c for c in cases.cases if c.split == "train" or c.class_name == "plain"))
    assert task_of(cases).metric == "auroc"
    assert task_of(one).metric == "accuracy"


def test_the_card_names_the_classes():
    parts = task_of(class_cases()).card_parts()
    assert [label.name for label in parts.labels] == ["plain", "striped"]
    assert parts.config["encoder"]["widths"] == [4, 8]
    assert parts.config["classes"] == 2


def test_images_without_a_class_and_classes_that_are_not_learned_are_all_named():
    cases = class_cases(("train", "train", "val"))
    odd = replace(cases.cases[-1], class_name="spotted")
    broken = without_class(replace(cases, cases=(*cases.cases[:-1], odd)), "plain0")
    with pytest.raises(InputError) as error:
        task_of(broken)
    assert "1 of 6 images have no class: plain0" in str(error.value)
    assert "no image of them is learned from: spotted" in str(error.value)


def test_a_single_class_cannot_be_learned():
    cases = class_cases()
    with pytest.raises(InputError, match="at least two classes to learn from; found plain"):
        task_of(replace(cases, cases=tuple(c for c in cases.cases if c.class_name == "plain")))
