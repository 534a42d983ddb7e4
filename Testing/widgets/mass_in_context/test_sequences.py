"""Sequences as targets: a sequence of segmentations beside the volumes, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest


def frame_mask(results, index, segment=0):
    """Voxels of a segment in a frame, [20, 28, 32]."""
    from MaskWhatMattersLib.bridge.example_segments import voxels_of_segment
    from MaskWhatMattersLib.bridge.mass_sequences import _frame_copy
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.ownership import input_of

    node = results.GetNthDataNode(index)
    frame = _frame_copy(input_of(results), index)
    segment_id = node.GetSegmentation().GetNthSegmentID(segment)
    return voxels_of_segment(node, segment_id, (20, 28, 32), local_affine(frame))


def browser_of(host):
    return host.slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]


def test_every_frame_gets_its_segmentation(host, logic, example, sequence):
    (results,) = logic.applyExample(*example, sequence)
    assert (results.GetName(), results.GetNumberOfDataNodes()) == ("4D by example", 3)
    assert [results.GetNthIndexValue(index) for index in range(3)] == ["0", "10", "20"]
    for index in range(3):
        array = host.slicer.util.arrayFromVolume(sequence.GetNthDataNode(index))
        np.testing.assert_array_equal(frame_mask(results, index), array > 450)


def test_proxy_moves_with_the_volumes(host, logic, example, sequence):
    (results,) = logic.applyExample(*example, sequence)
    browser = browser_of(host)
    proxy = browser.GetProxyNode(results)
    counts = []
    for index in range(3):
        browser.SetSelectedItemNumber(index)
        host.slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        segment_id = proxy.GetSegmentation().GetNthSegmentID(0)
        array = host.slicer.util.arrayFromSegmentBinaryLabelmap(proxy, segment_id, browser.GetProxyNode(sequence))
        counts.append(int((array > 0).sum()))
    assert counts == [int(frame_mask(results, index).sum()) for index in range(3)]


def test_rows_are_frames_and_a_row_selects_its_frame(host, logic, example, sequence):
    from MaskWhatMattersLib.bridge.mass_sequences import select_frame

    logic.applyExample(*example, sequence)
    rows = [row for row in logic.results() if row.segment == "Liver"]
    assert sorted(row.target for row in rows) == ["4D [1/3]", "4D [2/3]", "4D [3/3]"]
    volume, segmentation = select_frame(next(row for row in rows if row.frame == 1))
    assert browser_of(host).GetSelectedItemNumber() == 1
    np.testing.assert_array_equal(
        host.slicer.util.arrayFromVolume(volume), host.slicer.util.arrayFromVolume(sequence.GetNthDataNode(1))
    )
    assert segmentation.IsA("vtkMRMLSegmentationNode")


def test_a_sequence_without_a_browser_gets_one(host, logic, example, sequence):
    host.slicer.mrmlScene.RemoveNode(browser_of(host))
    (results,) = logic.applyExample(*example, sequence)
    assert browser_of(host).IsSynchronizedSequenceNode(results, True)


def test_transform_above_the_proxy_moves_what_is_read_and_shown(host, logic, example, sequence):
    from MaskWhatMattersLib.bridge.mass_sequences import read_frame

    slicer = host.slicer
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = slicer.util.vtkMatrixFromArray(np.array([[1, 0, 0, 40], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    transform.SetMatrixTransformToParent(matrix)
    before = read_frame(sequence, 0).affine
    browser_of(host).GetProxyNode(sequence).SetAndObserveTransformNodeID(transform.GetID())
    np.testing.assert_allclose(read_frame(sequence, 0).affine[:3, 3] - before[:3, 3], (40, 0, 0))
    (results,) = logic.applyExample(*example, sequence)
    assert browser_of(host).GetProxyNode(results).GetTransformNodeID() == transform.GetID()


def test_reading_a_frame_adds_nothing_to_the_scene_of_the_sequence(logic, sequence):
    from MaskWhatMattersLib.bridge.mass_sequences import read_frame

    before = sequence.GetSequenceScene().GetNumberOfNodes()
    read_frame(sequence, 1)
    assert sequence.GetSequenceScene().GetNumberOfNodes() == before


def correct(host, results, index):
    """The user paints over the first segment of a frame, in its proxy."""
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import write_segment

    browser, logic = browser_of(host), host.slicer.modules.sequences.logic()
    browser.SetSelectedItemNumber(index)
    logic.UpdateProxyNodesFromSequences(browser)
    proxy, volume = browser.GetProxyNode(results), browser.GetProxyNode(browser.GetMasterSequenceNode())
    mask = np.zeros((20, 28, 32), bool)
    mask[:2] = True
    write_segment(proxy, proxy.GetSegmentation().GetNthSegmentID(0), mask, local_affine(volume))
    proxy.Modified()
    host.process_events()
    browser.SetSelectedItemNumber(0 if index else 1)
    logic.UpdateProxyNodesFromSequences(browser)


@pytest.mark.parametrize(("existing", "stays"), [("keep", True), ("lock", True), ("overwrite", False)])
def test_corrected_frames_stay_unless_they_are_to_be_overwritten(host, logic, example, sequence, existing, stays):
    (results,) = logic.applyExample(*example, sequence)
    correct(host, results, 2)
    assert frame_mask(results, 2).sum() == 2 * 28 * 32
    (row,) = [row for row in logic.results() if row.edited]
    assert (row.target, row.volume_ml) == ("4D [3/3]", pytest.approx(2 * 28 * 32 * 8 / 1000))
    (again,) = logic.applyExample(*example, sequence, existing=existing)
    assert again is results
    assert bool(frame_mask(results, 2).sum() == 2 * 28 * 32) is stays


def test_results_survive_saving_and_loading_also_where_nothing_was_found(host, logic, example, sequence, tmp_path):
    host.slicer.util.arrayFromVolume(sequence.GetNthDataNode(1))[:] = 150
    logic.applyExample(*example, sequence)
    before = [(row.target, row.segment, row.volume_ml, row.quality) for row in logic.results()]
    host.save_scene(tmp_path / "scene.mrb")
    host.load_scene(tmp_path / "scene.mrb")
    assert [(row.target, row.segment, row.volume_ml, row.quality) for row in logic.results()] == before
    assert not any(row.edited for row in logic.results())


def test_a_frame_becomes_an_example_as_nodes_of_its_own(tab, sequence):
    tab.choose(tab.ui.targetKindCombo, "sequence")
    tab.ui.sequenceSelector.setCurrentNode(sequence)
    assert tab.tip == "Look for Liver, Spleen in 3 volumes"
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    tab.ui.addResultButton.click()
    tab.settle()
    table = tab.ui.exampleTable
    added = table.item(table.rowCount - 1, 0).text()
    assert added.startswith("4D [")
    assert tab.widget.apply.example.problem() == ""


def test_sequences_of_anything_but_volumes_are_refused(host, logic, example, tab):
    from MaskWhatMattersLib.errors import InputError

    empty = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "nothing")
    with pytest.raises(InputError, match="holds no volumes"):
        logic.applyExample(*example, empty)
    tab.choose(tab.ui.targetKindCombo, "sequence")
    tab.ui.sequenceSelector.setCurrentNode(empty)
    assert "holds no volumes" in tab.tip


def test_frame_that_moved_while_it_was_worked_on_gets_nothing(host, logic, example, sequence):
    browser = browser_of(host)
    logic.applyExample(*example, [])
    run = logic.applyExample(None, None, browser.GetProxyNode(sequence), task=logic.task, wait=False)
    browser.SetSelectedItemNumber(2)
    host.slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    with pytest.raises(ValueError, match="changed while it was worked on"):
        run.result()


def test_volume_that_shows_a_sequence_is_said_to_be_one_frame(host, logic, example, sequence):
    run = logic.applyExample(*example, browser_of(host).GetProxyNode(sequence), wait=False)
    run.result()
    assert "4D is one frame of a sequence: choose the sequence to segment all of them." in run.notes


def test_frame_that_became_an_example_is_no_second_result(tab, sequence):
    tab.choose(tab.ui.targetKindCombo, "sequence")
    tab.ui.sequenceSelector.setCurrentNode(sequence)
    tab.apply()
    before = tab.table()
    tab.ui.addResultButton.click()
    tab.settle()
    assert tab.ui.exampleTable.item(1, 0).text() == before[0][0]
    assert tab.table() == before
    assert tab.ui.addResultButton.toolTip == "This volume is an example already"
