"""Cases of a tuning in a scene: how many, whose segments are called alike, and which of them measure."""

from __future__ import annotations

import numpy as np
import pytest

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.mass_tune_cases import case_problems, incomplete_cases, measuring_cases, too_few
from MaskWhatMattersLib.bridge.nodes import local_affine, node_from_volume
from MaskWhatMattersLib.bridge.segmentations import add_segment
from MaskWhatMattersLib.volumes import Volume


@pytest.fixture
def cases(scene):
    """Function that adds one case per list of segments."""

    def add(*segments) -> list[Pair]:
        pairs = []
        for number, names in enumerate(segments):
            scan = node_from_volume(scene, Volume(np.zeros((1, 4, 4, 4), np.float32), np.eye(4)), f"P{number}")
            node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"S{number}")
            for name in names:
                add_segment(node, name, np.ones((4, 4, 4), bool), local_affine(scan), (1, 0, 0))
            pairs.append(Pair(scan.GetID(), node.GetID()))
        return pairs

    return add


def test_names_that_differ_in_capitals_are_the_same(scene, cases):
    assert case_problems(scene, cases(["Liver"], ["liver"], ["LIVER "]), ["Liver"]) == []


def test_a_name_of_one_case_alone_is_told_with_the_case(scene, cases):
    (problem,) = case_problems(scene, cases(["liver"], ["liver"], ["liver", "livr"]), ["liver", "livr"])
    assert problem.startswith("livr: in no other case than P2. Give the same structure the same name")


def test_a_case_without_any_ticked_segment_is_told(scene, cases):
    (problem,) = case_problems(scene, cases(["liver"], ["liver"], ["spleen"]), ["liver"])
    assert problem.startswith("P2 has none of the ticked segments.")


def test_more_than_ten_cases_are_told(scene, cases):
    (problem,) = case_problems(scene, cases(*[["liver"]] * 11), ["liver"])
    assert "There are 11 cases; a task is tuned on at most 10." in problem


def test_case_without_a_segment_is_noted(scene, cases):
    pairs = cases(["liver", "spleen"], ["liver"], ["spleen", "liver"])
    assert incomplete_cases(scene, pairs, ["liver", "spleen"]) == ["P1 has no spleen."]


def test_those_that_measure_leave_every_segment_to_be_learned(scene, cases):
    pairs = cases(["liver"], ["liver", "spleen"], ["liver"])
    (measuring,) = measuring_cases(scene, pairs, ["liver", "spleen"])
    assert measuring != 1
    assert measuring_cases(scene, pairs[:2], ["liver"]) == set()


@pytest.mark.parametrize(("count", "words"), [(0, "there are none"), (1, "there is 1"), (2, "there are 2")])
def test_too_few_cases_are_counted(count, words):
    assert words in too_few(count)
