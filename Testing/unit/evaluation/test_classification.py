"""Accuracy, AUROC, AUPRC and F1 against figures worked out by hand."""

import math

import numpy as np
import pytest

from MaskWhatMattersLib.evaluation.classification import classification_scores


def two(scores):
    """Probabilities of two classes from those of the second."""
    return np.array([[1 - score, score] for score in scores])


def test_a_perfect_classifier_has_ones_everywhere():
    scores = classification_scores(np.eye(3)[[0, 1, 2, 1]] * 0.8 + 0.2 / 3, np.array([0, 1, 2, 1]))
    assert scores == pytest.approx(dict.fromkeys(("accuracy", "auroc", "auprc", "f1"), 1.0))


def test_the_figures_of_four_images_worked_out_by_hand():
    # Second class by falling score: no, yes, no, yes. First class by falling score: no, yes, no, yes.
    scores = classification_scores(two([0.9, 0.6, 0.4, 0.2]), np.array([0, 1, 0, 1]))
    assert scores["accuracy"] == pytest.approx(0.5)
    assert scores["auroc"] == pytest.approx(0.25)  # 1 of 4 pairs in the right order
    assert scores["auprc"] == pytest.approx(0.5)  # the mean of 1/2 and 2/4
    assert scores["f1"] == pytest.approx(0.5)


def test_f1_of_a_class_that_is_never_found_is_zero():
    scores = classification_scores(two([0.1, 0.2, 0.3]), np.array([0, 0, 1]))
    assert scores["f1"] == pytest.approx((2 * 2 / 5 + 0) / 2)


def test_a_class_without_images_takes_no_part():
    three = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    assert classification_scores(three, np.array([0, 1])) == pytest.approx(
        {"accuracy": 1.0, "auroc": 1.0, "auprc": 1.0, "f1": 1.0}
    )


def test_one_class_alone_cannot_be_ranked():
    scores = classification_scores(two([0.1, 0.2]), np.array([0, 0]))
    assert scores["accuracy"] == 1.0
    assert math.isnan(scores["auroc"])
    assert math.isnan(scores["auprc"])


def test_no_image_gives_no_number():
    assert all(math.isnan(value) for value in classification_scores(np.zeros((0, 2)), np.zeros(0, int)).values())
