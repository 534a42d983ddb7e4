"""A real MRML scene for every test."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from MaskWhatMattersLib.bridge.nodes import matrix_from_array, node_from_volume
from MaskWhatMattersLib.volumes import Volume


@pytest.fixture
def scene():
    scene = slicer.vtkMRMLScene()
    logics = [slicer.vtkMRMLApplicationLogic(), slicer.vtkSlicerSegmentationsModuleLogic()]  # registers node classes
    for logic in logics:
        logic.SetMRMLScene(scene)
    yield scene
    scene.Clear(True)


def oblique_affine(spacing=(0.7, 0.9, 3.2), flip=(1, 1, 1), origin=(5.0, -40.0, 17.0)) -> np.ndarray:
    """(i, j, k) to RAS mm, turned by 20 and -15 degrees; `flip` mirrors axes, so that the grid may be left-handed."""
    a, b = np.radians((20, -15))
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_s @ about_r @ np.diag(np.array(spacing) * flip)
    affine[:3, 3] = origin
    return affine


@pytest.fixture(params=["upright", "oblique", "flipped", "left-handed"])
def affine(request) -> np.ndarray:
    return {
        "upright": np.diag([1.0, 1.0, 1.0, 1.0]),
        "oblique": oblique_affine(),
        "flipped": oblique_affine(flip=(-1, -1, 1)),
        "left-handed": oblique_affine(flip=(-1, 1, 1)),
    }[request.param]


@pytest.fixture
def volume(affine) -> Volume:
    """A small volume in which no two voxels are alike."""
    return Volume(np.arange(6 * 7 * 8, dtype=np.float32).reshape(1, 6, 7, 8), affine, name="scan")


@pytest.fixture
def scan(scene):
    """A volume node on an oblique grid, listed in subject hierarchy under a study."""
    volume = Volume(np.arange(6 * 7 * 8, dtype=np.float32).reshape(1, 6, 7, 8), oblique_affine(), name="scan")
    node = node_from_volume(scene, volume)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.CreateItem(hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study"), node)
    return node


@pytest.fixture
def moved():
    """Function that puts a node under a turned and shifted linear transform."""

    def move(node):
        transform = node.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix_from_array(oblique_affine((1, 1, 1), origin=(30, 20, -10))))
        node.SetAndObserveTransformNodeID(transform.GetID())
        return transform

    return move
