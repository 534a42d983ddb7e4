"""Node and segment selectors follow the scene."""

import numpy as np
import pytest

SCALAR = "vtkMRMLScalarVolumeNode"
BLOCK = np.zeros((4, 5, 6), np.int16)


@pytest.fixture
def selector(host):
    combo = host.slicer.qMRMLNodeComboBox()
    combo.nodeTypes = [SCALAR]
    combo.setMRMLScene(host.slicer.mrmlScene)
    return combo


def test_first_node_is_selected_where_none_is_not_offered(host, selector):
    chosen = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    node = host.add_volume(BLOCK, "CT")
    assert selector.currentNode() is node
    assert chosen == [node]


def test_nothing_is_selected_where_none_is_offered(host, selector):
    selector.noneEnabled = True
    host.add_volume(BLOCK, "CT")
    assert selector.currentNode() is None
    assert selector.nodeCount() == 1


def test_removing_the_current_node_selects_another(host, selector):
    first, second = host.add_volume(BLOCK, "first"), host.add_volume(BLOCK, "second")
    selector.setCurrentNode(second)
    host.slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first


def test_other_classes_and_hidden_nodes_are_not_listed(host, selector):
    host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    hidden = host.slicer.vtkMRMLScalarVolumeNode()
    hidden.SetHideFromEditors(True)
    host.slicer.mrmlScene.AddNode(hidden)
    assert selector.nodeCount() == 0
    selector.setCurrentNode(hidden)
    assert selector.currentNode() is None


def test_label_maps_are_listed_unless_child_classes_are_left_out(host, selector):
    host.add_volume(BLOCK, "labels", node_class="vtkMRMLLabelMapVolumeNode")
    assert selector.nodeCount() == 1
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0


def test_attribute_filter_is_applied(host, selector):
    selector.addAttribute(SCALAR, "Relevance", "1")
    host.add_volume(BLOCK, "CT")
    map_node = host.slicer.vtkMRMLScalarVolumeNode()
    map_node.SetAttribute("Relevance", "1")
    host.slicer.mrmlScene.AddNode(map_node)
    assert selector.nodes() == [map_node]


def test_closing_the_scene_empties_the_selector(host, selector):
    host.add_volume(BLOCK, "CT")
    host.close_scene()
    assert selector.currentNode() is None
    assert selector.currentNodeID == ""


def test_deleted_selector_no_longer_hears_the_scene(host, selector):
    selector.delete()
    host.add_volume(BLOCK, "CT")
    assert host.escaped == []


@pytest.fixture
def segmentation(host):
    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    for name in ("liver", "spleen"):
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def test_segment_table_shows_what_is_added_later(host, segmentation):
    table = host.slicer.qMRMLSegmentsTableView()
    table.setSegmentationNode(segmentation)
    segmentation.GetSegmentation().AddEmptySegment("kidney", "kidney")
    table.setSelectedSegmentIDs(["spleen"])
    assert table.segmentCount() == 3
    assert table.selectedSegmentIDs() == ("spleen",)


def test_segment_selector_gives_node_and_segment(host, segmentation):
    selector = host.slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(host.slicer.mrmlScene)
    selector.setCurrentNode(segmentation)
    selector.setCurrentSegmentID("spleen")
    assert selector.currentNode() is segmentation
    assert selector.currentSegmentID() == "spleen"


def test_new_volume_has_an_item_in_subject_hierarchy(host):
    node = host.add_volume(BLOCK, "CT")
    hierarchy = host.slicer.mrmlScene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemName(hierarchy.GetItemByDataNode(node)) == "CT"
