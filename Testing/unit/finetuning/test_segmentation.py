"""Learning to segment."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from finetuning_phantoms import picture_cases, small_config, square_volume, train_few, volume_cases
from host_waits import HostWaits
from MaskWhatMattersLib.datasets.image_cases import ImageCase, ImageCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.segmentation import SegmentationTask, slices_by_case
from MaskWhatMattersLib.progress import SilentProgress


class Log(SilentProgress):
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def task_of(config, cases, progress=None):
    torch.manual_seed(0)
    return SegmentationTask(config, cases, torch.device("cpu"), progress or SilentProgress())


def dice_of(task, split="val"):
    with torch.no_grad():
        return task.evaluate(split, SilentProgress())


def with_labels(cases, change):
    """The same cases with other values in the label maps."""
    changed = (replace(case, label_map=case.label_map.with_array(change(case.label_map.array))) for case in cases.cases)
    return ImageCases(tuple(changed), label_names=cases.label_names)


@pytest.mark.parametrize(("dims", "kind"), [(2, "residual"), (2, "vit"), (3, "residual"), (3, "vit")])
def test_a_few_steps_lower_the_loss_and_raise_the_dice(dims, kind):
    task = task_of(small_config(dims, kind), picture_cases() if dims == 2 else volume_cases())
    before = dice_of(task)["dice"]
    losses = train_few(task, 12)
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    assert dice_of(task)["dice"] > max(0.6, before + 0.3)


def test_a_step_does_not_make_the_host_wait():
    task = task_of(small_config(2), picture_cases())
    batch = task.batch(0)
    with HostWaits() as waits:
        task.loss(batch).total.backward()
    assert waits.found == []


def test_a_batch_depends_on_its_seed_alone():
    task = task_of(small_config(2), picture_cases())
    first, other, again = task.batch(1), task.batch(2), task.batch(1)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)


def test_any_values_in_the_label_maps_become_classes_and_come_back_in_the_card():
    cases = replace(picture_cases(values=(4, 9)), label_names={9: "tumour"})
    task = task_of(small_config(2), cases)
    parts = task.card_parts()
    assert set(task.batch(0).labels.unique().tolist()) <= {0, 1, 2}
    assert parts.config["values"] == [0, 4, 9]
    assert [(label.value, label.name) for label in parts.labels] == [(4, "label 4"), (9, "tumour")]
    assert set(dice_of(task)) == {"dice", "dice_4", "dice_9"}


def test_the_background_counts_in_no_dice():
    task = task_of(small_config(2), picture_cases())
    with torch.no_grad():  # a network that says background everywhere
        for weight in task.network.head.parameters():
            weight.zero_()
    assert dice_of(task) == {"dice": 0.0}


def test_a_case_without_a_label_and_without_a_find_counts_nowhere():
    cases = picture_cases(("train", "val", "val"))
    empty = replace(cases.cases[2], label_map=cases.cases[2].label_map.with_array(np.zeros((1, 1, 32, 32), np.uint8)))
    task = task_of(small_config(2), ImageCases((*cases.cases[:2], empty)))
    with torch.no_grad():
        for weight in task.network.head.parameters():
            weight.zero_()
    assert dice_of(task) == {"dice": 0.0}


def test_voxels_that_nobody_has_decided_about_change_no_loss():
    cases = picture_cases(("train", "val"))
    unsure = with_labels(cases, lambda array: np.where(np.arange(32) < 8, 255, array).astype(np.uint8))
    task, other = task_of(small_config(2), unsure), task_of(small_config(2), unsure)
    batch = task.batch(0)
    undecided = (batch.labels == 255)[:, None]
    logits = torch.randn(len(undecided), 2, 32, 32)
    task.network = lambda images: logits
    other.network = lambda images: logits + 5 * undecided * torch.tensor([0, 1])[:, None, None]
    assert undecided.any()
    torch.testing.assert_close(task.loss(batch).total, other.loss(batch).total)


def test_slices_of_a_volume_are_learned_one_by_one_and_scored_together():
    pairs = [square_volume(seed) for seed in range(3)]
    cases = ImageCases(
        tuple(
            ImageCase(image.name, image, image.name, split, label_map=labels)
            for (image, labels), split in zip(pairs, ("train", "train", "val"), strict=True)
        )
    )
    task = task_of(small_config(2), cases)
    assert len(task._images["val"]) == 16
    assert slices_by_case(task._images["val"]) == [list(range(16))]
    assert task.batch(0).images.shape == (4, 1, 32, 32)
    assert 0 <= dice_of(task)["dice"] <= 1


def test_an_encoder_of_several_channels_gets_the_grey_image_in_each():
    config = small_config(2)
    encoder = config.encoder.model_copy(update={"in_channels": 3})
    task = task_of(config.model_copy(update={"encoder": encoder}), picture_cases())
    assert torch.isfinite(task.loss(task.batch(0)).total)
    assert 0 <= dice_of(task)["dice"] <= 1


def test_cases_without_a_label_map_are_named_together():
    cases = picture_cases()
    bare = ImageCases(tuple(replace(case, label_map=None) for case in cases.cases[:2]) + cases.cases[2:])
    with pytest.raises(InputError, match=r"2 of 4 cases have no label map: picture0, picture1\. Give each"):
        task_of(small_config(2), bare)


def test_empty_label_maps_are_refused():
    with pytest.raises(InputError, match="label maps of all 4 cases are empty"):
        task_of(small_config(2), with_labels(picture_cases(), np.zeros_like))


def test_nobody_to_learn_from_is_refused():
    with pytest.raises(InputError, match="no case to learn from"):
        task_of(small_config(2), picture_cases(("val", "test")))


def test_a_label_that_only_the_validation_has_is_told():
    cases = picture_cases(("train", "val"))
    last = replace(cases.cases[1], label_map=cases.cases[1].label_map.with_array(cases.cases[1].label_map.array * 7))
    log = Log()
    task = task_of(small_config(2), ImageCases((cases.cases[0], last)), log)
    assert "No case for training has the label 7; it counts in the Dice and cannot be found." in log.lines
    assert task.card_parts().config["values"] == [0, 1, 7]
