"""Average precision of found objects."""

import math

import numpy as np
import pytest

from MaskWhatMattersLib.evaluation.instances import FoundInstances, are_boxes, average_precision, box_of, masks_of


def disc(row, column, radius=6, side=64):
    rows, columns = np.indices((side, side))
    return np.hypot(rows - row, columns - column) <= radius


def two_discs():
    labels = np.zeros((64, 64), np.uint8)
    labels[disc(16, 16)] = 1
    labels[disc(44, 40)] = 2
    return labels


def found(*masks, scores=None):
    if not masks:
        return FoundInstances(np.zeros((0, 64, 64), bool), np.zeros(0))
    return FoundInstances(np.stack(masks), np.array(scores or [0.9] * len(masks)))


def test_all_objects_found_exactly_is_a_precision_of_one():
    scores = average_precision([found(disc(44, 40), disc(16, 16))], [two_discs()])
    assert scores == pytest.approx({"box_ap": 1, "box_ap50": 1, "mask_ap": 1, "mask_ap50": 1})


def test_one_of_two_objects_is_half():
    scores = average_precision([found(disc(16, 16))], [two_discs()])
    assert scores["mask_ap50"] == pytest.approx(0.5, abs=0.01)  # recall is looked at in 101 steps


def test_an_imprecise_outline_counts_at_low_overlap_only():
    scores = average_precision([found(disc(17, 17), disc(45, 41))], [two_discs()])
    assert scores["mask_ap50"] == pytest.approx(1)
    assert 0.3 < scores["mask_ap"] < 0.8


def test_a_false_find_that_is_surer_than_the_true_one_costs_precision():
    sure, unsure = (
        average_precision([found(disc(16, 16), disc(44, 40), disc(10, 50), scores=[0.8, 0.8, score])], [two_discs()])
        for score in (0.9, 0.1)
    )
    assert sure["box_ap50"] < 0.7
    assert unsure["box_ap50"] == pytest.approx(1)


def test_pictures_are_measured_together_and_not_mixed_up():
    swapped = [found(disc(44, 40)), found(disc(16, 16))]
    truth = [np.where(disc(16, 16), 1, 0), np.where(disc(44, 40), 1, 0)]
    assert average_precision(swapped, truth)["mask_ap50"] == 0
    assert average_precision(swapped[::-1], truth)["mask_ap50"] == pytest.approx(1)


def test_nothing_found_is_zero_and_nothing_to_find_is_no_number():
    assert average_precision([found()], [two_discs()])["box_ap"] == 0
    assert math.isnan(average_precision([found(disc(9, 9))], [np.zeros((64, 64), np.uint8)])["box_ap"])
    assert math.isnan(average_precision([found()], [np.zeros((64, 64), np.uint8)])["box_ap"])


def test_empty_outlines_are_left_out():
    scores = average_precision([found(disc(16, 16), np.zeros((64, 64), bool), disc(44, 40))], [two_discs()])
    assert scores["mask_ap"] == pytest.approx(1)


def test_of_boxes_only_boxes_are_measured():
    labels = np.zeros((64, 64), np.uint8)
    labels[10:20, 30:50] = 1
    assert are_boxes([labels])
    assert not are_boxes([two_discs()])
    assert set(average_precision([found(labels > 0)], [labels])) == {"box_ap", "box_ap50"}


def test_one_box_that_another_covers_is_still_a_box():
    labels = np.zeros((64, 64), np.uint8)
    for number in range(10):
        labels[6 * number : 6 * number + 5, 5:20] = number + 1
    labels[3:6, 15:30] = 11
    assert are_boxes([labels])


def test_boxes_are_tight_and_absent_numbers_skipped():
    labels = np.zeros((8, 8), np.uint8)
    labels[2:4, 3:7] = 5
    masks = masks_of(labels)
    assert masks.shape == (1, 8, 8)
    assert box_of(masks[0]) == (3, 2, 4, 2)


def test_nothing_is_printed(capsys):
    average_precision([found(disc(16, 16))], [two_discs()])
    assert capsys.readouterr().out == ""
