"""Few labels: whole patients are left out, and of each class somebody stays."""

import pytest

from class_pictures import class_cases
from MaskWhatMattersLib.finetuning.few_labels import with_label_fraction

CASES = class_cases(("train",) * 10 + ("val", "test"))


@pytest.mark.parametrize(("fraction", "patients"), [(0.5, 10), (0.1, 2), (0.01, 2)])
def test_a_share_of_the_training_patients_of_each_class_stays(fraction, patients):
    few = with_label_fraction(CASES, fraction, seed=1)
    assert len({case.patient for case in few.of("train")}) == patients
    assert {case.class_name for case in few.of("train")} == {"plain", "striped"}
    assert few.notes[-1].startswith(f"{patients} of 20 training patients are used")


def test_validation_and_test_stay_as_they_are():
    few = with_label_fraction(CASES, 0.1, seed=1)
    assert (few.of("val"), few.of("test")) == (CASES.of("val"), CASES.of("test"))


def test_a_smaller_share_is_part_of_a_larger_one():
    small, large = (set(c.name for c in with_label_fraction(CASES, f, seed=3).of("train")) for f in (0.2, 0.6))
    assert small < large


def test_all_labels_change_nothing():
    assert with_label_fraction(CASES, 1.0, seed=1) is CASES
