"""Marked volumes as examples: masks on the voxels of the scan, names, colours and terms as the user has them."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.mass_examples import marked_in, read_examples, structure_names
from MaskWhatMattersLib.bridge.nodes import local_affine, node_from_volume, volume_from_node
from MaskWhatMattersLib.bridge.segmentations import add_segment, terminology_tag
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import Volume

LIVER = terminology_tag(("123037004", "Anatomical Structure"), ("10200004", "Liver"), None)


def marks(scan, names=("Liver", "Spleen"), terms=LIVER):
    node = scan.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "marks")
    node.SetReferenceImageGeometryParameterFromVolumeNode(scan)
    shape = slicer.util.arrayFromVolume(scan).shape
    for place, name in enumerate(names):
        mask = np.zeros(shape, bool)
        mask[place : place + 2, 1:4, 2:5] = True
        add_segment(node, name, mask, local_affine(scan), (0.5, 0.25, 0.125), terms)
    return node


def label_map(scan, values, colors=None):
    array = np.zeros(slicer.util.arrayFromVolume(scan).shape, np.int16)
    for place, value in enumerate(values):
        array[place] = value
    node = scan.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(node, array)
    node.CopyOrientation(scan)
    node.SetAndObserveTransformNodeID(scan.GetTransformNodeID())
    if colors is not None:
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    return node


def pair(scan, label):
    return Pair(scan.GetID(), label.GetID())


def test_segments_become_masks_on_the_scan_in_every_orientation(scene, volume, moved):
    node = node_from_volume(scene, volume)
    segmentation = marks(node)
    transform = moved(node)
    segmentation.SetAndObserveTransformNodeID(transform.GetID())
    (example,) = read_examples(scene, [pair(node, segmentation)])
    np.testing.assert_allclose(example.image.affine, volume_from_node(node).affine)
    assert [np.argwhere(mask).min(0).tolist() for mask in example.masks.array] == [[0, 1, 2], [1, 1, 2]]
    assert example.masks.array.sum(axis=(1, 2, 3)).tolist() == [18, 18]


def test_labels_keep_names_colours_and_terms(scan):
    (example,) = read_examples(scan.GetScene(), [pair(scan, marks(scan))])
    liver, spleen = example.labels
    assert (liver.value, liver.name, spleen.value) == (1, "Liver", 2)
    assert liver.color == pytest.approx((0.5, 0.25, 0.125))
    assert (liver.category.value, liver.type.meaning, liver.type_modifier) == ("123037004", "Liver", None)


def test_only_chosen_segments_are_read(scan):
    (example,) = read_examples(scan.GetScene(), [pair(scan, marks(scan))], ["spleen"])
    assert [(label.value, label.name) for label in example.labels] == [(2, "Spleen")]


def test_examples_agree_on_values_whatever_the_order_and_capitals(scan):
    other = node_from_volume(scan.GetScene(), volume_from_node(scan), "other")
    pairs = [pair(scan, marks(scan)), pair(other, marks(other, ("Kidney", "SPLEEN")))]
    first, second = read_examples(scan.GetScene(), pairs)
    assert [(label.value, label.name) for label in second.labels] == [(3, "Kidney"), (2, "Spleen")]
    assert structure_names([scan.GetScene().GetNodeByID(one.label) for one in pairs]) == ["Liver", "Spleen", "Kidney"]
    assert len(first.labels) == 2


def test_label_maps_are_named_by_their_colours(scan):
    colors = scan.GetScene().AddNewNodeByClass("vtkMRMLColorTableNode")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(3)
    colors.SetColor(2, "Liver", 1.0, 0.5, 0.0, 1.0)
    node = label_map(scan, [2, 7], colors)
    assert [(one.key, one.name) for one in marked_in(node)] == [("2", "Liver"), ("7", "label 7")]
    (example,) = read_examples(scan.GetScene(), [pair(scan, node)])
    assert example.masks.array.sum(axis=(1, 2, 3)).tolist() == [56, 56]


def test_names_are_not_sent_to_other_computers(scan):
    (example,) = read_examples(scan.GetScene(), [pair(scan, marks(scan))], is_remote=True)
    assert example.image.name == ""


@pytest.mark.parametrize(
    ("names", "segments", "message"),
    [
        ((), None, "no such segment"),
        (("Liver", "liver"), None, "several segments called Liver, liver"),
        (("Liver",), ["Pancreas"], "no segment called Pancreas|called Pancreas"),
        (("Liver",), [], "Tick at least one"),
        ([f"s{n}" for n in range(65)], None, "65 segments are ticked; at most 64"),
    ],
)
def test_what_cannot_be_an_example_is_refused(scan, names, segments, message):
    with pytest.raises(InputError, match=message):
        read_examples(scan.GetScene(), [pair(scan, marks(scan, names))], segments)


def test_all_problems_are_told_together(scan):
    far = node_from_volume(scan.GetScene(), Volume(np.zeros((1, 3, 3, 3), np.float32), np.diag([1, 1, 1, 1.0])), "far")
    far.SetOrigin(5000, 0, 0)
    pairs = [pair(far, marks(scan)), pair(scan, marks(scan, ("a", "A")))]
    with pytest.raises(InputError, match=r"(?s)outside the volume.*several segments"):
        read_examples(scan.GetScene(), pairs)


def test_no_example_is_refused(scene):
    with pytest.raises(InputError, match="There is no example"):
        read_examples(scene, [])


def test_a_scan_without_the_chosen_segments_is_named(scan):
    other = node_from_volume(scan.GetScene(), volume_from_node(scan), "other")
    pairs = [pair(scan, marks(scan)), pair(other, marks(other, ("Kidney",)))]
    with pytest.raises(InputError, match="has none of the chosen segments"):
        read_examples(scan.GetScene(), pairs, ["Liver"])


def test_label_maps_keep_their_values_and_segments_beside_them_are_numbered(scan):
    scene, labels = scan.GetScene(), label_map(scan, (1, 7))
    (alone,) = read_examples(scene, [pair(scan, labels)])
    assert [label.value for label in alone.labels] == [1, 7]
    other = node_from_volume(scene, volume_from_node(scan))
    both = read_examples(scene, [pair(scan, labels), pair(other, marks(other, ("Liver",)))])
    assert [label.value for example in both for label in example.labels] == [1, 2, 3]
