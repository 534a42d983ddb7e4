"""Learning to find objects."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from finetuning_phantoms import picture_cases, small_config, train_few, volume_cases
from MaskWhatMattersLib.datasets.image_cases import ImageCases
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.finetuning.config import HeadConfig
from MaskWhatMattersLib.finetuning.detection import DetectionTask
from MaskWhatMattersLib.networks.encoders import ResidualEncoderConfig
from MaskWhatMattersLib.progress import SilentProgress


class Log(SilentProgress):
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def config_of(**changes):
    fields = {
        "task": "detection",
        "encoder": ResidualEncoderConfig(spatial_dims=2, widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1)),
        "head": HeadConfig(queries=3, query_features=32, decoder_layers=1),
        "batch_size": 2,
    }
    return small_config(2, **{**fields, **changes})


def task_of(cases, progress=None, **changes):
    torch.manual_seed(0)
    return DetectionTask(config_of(**changes), cases, torch.device("cpu"), progress or SilentProgress())


def precision_of(task):
    with torch.no_grad():
        return task.evaluate("val", SilentProgress())


def with_labels(cases, change):
    """The same cases with other label maps."""
    changed = (replace(case, label_map=case.label_map.with_array(change(case.label_map.array))) for case in cases.cases)
    return ImageCases(tuple(changed))


def round_off(array):
    """Squares without their corners, so that they are no boxes."""
    result = array.copy()
    rows, columns = np.nonzero(array[0, 0])
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        corner = (np.unique(rows)[[row]], np.unique(columns)[[column]])
        result[0, 0, corner[0], corner[1]] = 0
    return result


@pytest.mark.parametrize("kind", ["residual", "vit"])
def test_a_bright_square_is_found_after_a_few_steps(kind):
    encoder = {} if kind == "residual" else {"encoder": small_config(2, "vit").encoder}
    task = task_of(with_labels(picture_cases(), round_off), **encoder)
    before = precision_of(task)
    losses = train_few(task, 15, 5e-3)
    assert before["box_ap50"] < 0.5
    assert losses[-1] < 0.5 * losses[0]
    after = precision_of(task)
    assert set(after) == {"box_ap", "box_ap50", "mask_ap", "mask_ap50"}
    assert after["box_ap50"] > 0.9


def test_boxes_are_learned_as_outlines_and_only_boxes_are_measured():
    log = Log()
    task = task_of(picture_cases(), log)
    assert any("drawn as boxes, not outlines" in line and "only boxes are measured" in line for line in log.lines)
    assert set(precision_of(task)) == {"box_ap", "box_ap50"}


def test_pieces_are_objects_where_no_label_map_numbers_them():
    def two(array):
        return np.clip(array + np.roll(array, 16, axis=-2), 0, 1).astype(np.uint8)

    log = Log()
    task = task_of(with_labels(picture_cases(), two), log)
    assert task._images["train"].marks[0].unique().tolist() == [0, 1, 2]
    assert any("each connected piece is taken for an object" in line for line in log.lines)


def test_objects_that_are_numbered_stay_whole():
    def both_parts(array):
        return np.where(array > 0, 2, np.roll(array, 16, axis=-2) * 2).astype(np.uint8)

    task = task_of(with_labels(picture_cases(), both_parts))
    assert task._images["train"].marks[0].unique().tolist() == [0, 2]


def test_pictures_without_objects_are_learned_from_too():
    cases = picture_cases()
    bare = replace(cases.cases[1], label_map=None)
    empty = replace(cases.cases[2], label_map=cases.cases[2].label_map.with_array(np.zeros((1, 1, 32, 32), np.uint8)))
    task = task_of(ImageCases((cases.cases[0], bare, empty, cases.cases[3])))
    assert torch.isfinite(task.loss(task.batch(0)).total)


def test_a_batch_without_any_object_teaches_to_find_nothing():
    task = task_of(picture_cases())
    batch = task.batch(0)
    losses = task.loss(batch._replace(labels=torch.zeros_like(batch.labels)))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert losses.parts["mask_loss"] == 0


def test_a_batch_depends_on_its_seed_alone():
    task = task_of(picture_cases())
    assert torch.equal(task.batch(3).images, task.batch(3).images)
    assert not torch.equal(task.batch(3).images, task.batch(4).images)


def test_pictures_of_any_size_are_measured():
    task = task_of(picture_cases(("train", "val"), side=45))
    task._images["val"] = replace(
        task._images["val"],
        images=tuple(image[:27, :30] for image in task._images["val"].images),
        marks=tuple(marks[:27, :30] for marks in task._images["val"].marks),
    )
    assert "box_ap" in precision_of(task)


def test_half_precision_is_left_to_the_encoder():
    task = task_of(picture_cases())
    with torch.autocast("cpu", torch.bfloat16):
        losses = task.loss(task.batch(0))
        precision_of(task)
    losses.total.backward()
    assert torch.isfinite(losses.total)


def test_the_card_names_the_one_kind_of_object():
    parts = task_of(replace(picture_cases(), label_names={1: "tumour"})).card_parts()
    assert parts.architecture == "finetuned-detection"
    assert [(label.value, label.name) for label in parts.labels] == [(1, "tumour")]
    assert parts.config["encoder"]["kind"] == "residual"


def test_more_objects_than_queries_are_told():
    log = Log()
    task_of(picture_cases(values=(1, 2, 3)), log, head=HeadConfig(queries=2, query_features=32, decoder_layers=1))
    assert "An image has 3 objects, and at most 2 can be found: raise queries." in log.lines


def test_a_validation_without_objects_is_told():
    cases = picture_cases(("train", "val"))
    empty = replace(cases.cases[1], label_map=None)
    log = Log()
    task_of(ImageCases((cases.cases[0], empty)), log)
    assert "No image for validation has an object, so no step can be chosen by its precision." in log.lines


def test_nothing_to_find_is_refused():
    with pytest.raises(InputError, match="no object is marked in the 3 images for training"):
        task_of(with_labels(picture_cases(), np.zeros_like))
    with pytest.raises(InputError, match="no case to learn from"):
        task_of(picture_cases(("val",)))


def test_settings_that_make_no_detector_are_refused():
    with pytest.raises(InputError, match=r"head\.query_features: Input should be a multiple of 32"):
        task_of(picture_cases(), head=HeadConfig(query_features=40))
    shallow = ResidualEncoderConfig(spatial_dims=2, widths=(8, 8), blocks=(1, 1))
    with pytest.raises(InputError, match="three stages or more; found 2"):
        task_of(picture_cases(), encoder=shallow)


def test_slices_of_a_volume_are_pictures():
    assert len(task_of(volume_cases())._images["val"]) == 16


def test_more_specks_than_a_byte_counts_are_refused():
    def specks(array):
        result = np.zeros_like(array)
        result[..., ::2, ::2] = 1
        return result

    with pytest.raises(InputError, match=r"More than 254 objects in picture0, picture1"):
        task_of(
            with_labels(picture_cases(side=64), specks),
            preprocessing=small_config(2).preprocessing.model_copy(update={"longest_side": 64}),
        )
