"""What a user does in the panel and what appears, by clicking; jobs run for real."""

from __future__ import annotations

import numpy as np
import pytest


def test_volume_of_the_red_slice_view_is_preselected(host, panel, scan):
    assert panel.ui.inputSelector.currentNode() is scan


def test_apply_says_why_it_is_disabled(host, panel, scan):
    assert (panel.state, panel.ui.applyButton.toolTip[:12]) == ("not ready", "Type what to")
    panel.type("ball")
    assert (panel.state, panel.ui.applyButton.enabled) == ("ready", True)
    panel.choose("roi")
    assert "region" in panel.ui.applyButton.toolTip
    panel.choose("transformers")
    assert "model" in panel.ui.applyButton.toolTip
    panel.choose("probe")
    panel.ui.computeCombo.setCurrentIndex(1)
    assert "scheduler" in panel.ui.applyButton.toolTip
    host.slicer.mrmlScene.RemoveNode(scan)
    assert (panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip) == (False, "Choose a volume first")


def test_volume_loaded_after_the_panel_was_opened_is_chosen(host, panel, scan):
    host.slicer.mrmlScene.RemoveNode(scan)
    later = host.add_volume(np.ones((4, 4, 4), np.float32), "later")
    assert panel.ui.inputSelector.currentNode() is later


def test_found_prompt_gives_overlay_segmentation_and_table_row(host, panel, scan):
    panel.find("ball")
    assert panel.state == "done"
    ml = panel.expected(0.5).sum() * 2.5 / 1000
    assert panel.table() == [["ball", "found", "0.90", f"{ml:.1f}"]]
    np.testing.assert_array_equal(panel.mask(), panel.expected(0.5))
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert view.GetBackgroundVolumeID() == scan.GetID()
    overlay = host.slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID())
    assert (overlay.GetName(), view.GetForegroundOpacity()) == ("ball relevance", pytest.approx(0.5))
    assert panel.ui.noticeLabel.text == "Not for clinical use. Model: probe 1."


def test_absent_prompt_is_a_result_without_nodes(panel):
    panel.find("ball", "gone")
    assert [row[:3] for row in panel.table()] == [["ball", "found", "0.90"], ["gone", "absent", "0.10"]]
    assert len(panel.nodes()) == 1


@pytest.mark.parametrize("key", ["Key_Return", "Key_Enter"])
def test_ctrl_enter_in_the_prompt_box_applies(host, panel, key):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    panel.type("ball")
    panel.ui.promptEdit.setFocus()
    QTest.keyClick(panel.ui.promptEdit, getattr(Qt, key), Qt.ControlModifier)
    panel.wait_for("done")
    assert len(panel.nodes()) == 1


def test_ctrl_enter_elsewhere_does_nothing(host, panel):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    panel.type("ball")
    panel.ui.historyCombo.setFocus()
    QTest.keyClick(panel.ui.historyCombo, Qt.Key_Return, Qt.ControlModifier)
    assert panel.state == "ready"


def test_overlay_of_ours_is_not_preselected_and_refused_as_input(host, panel, scan):
    panel.find("ball")
    later = host.add_volume(np.ones((4, 4, 4), np.float32), "later")
    overlay = host.slicer.util.getNode("ball relevance")
    host.slicer.mrmlScene.RemoveNode(scan)
    assert panel.ui.inputSelector.currentNode() is later
    panel.ui.inputSelector.setCurrentNode(overlay)
    assert (panel.ui.applyButton.enabled, "relevance map" in panel.ui.applyButton.toolTip) == (False, True)


def test_grey_picture_stored_as_colour_can_be_asked_about(host, panel):
    grey = np.repeat(np.arange(100, dtype=np.uint8).reshape(1, 10, 10, 1), 3, axis=-1)
    picture = host.add_volume(grey, "film", node_class="vtkMRMLVectorVolumeNode")
    panel.ui.inputSelector.setCurrentNode(picture)
    panel.ui.modalityCombo.setCurrentIndex(panel.ui.modalityCombo.findData("XR"))
    panel.find("ball")
    assert panel.table() == [["ball", "found", "0.90", panel.table()[0][3]]]
    assert not any(character.isdigit() for character in panel.table()[0][3])


def test_views_that_do_not_exist_need_no_fitting(host, panel, monkeypatch):
    monkeypatch.setattr(type(host.slicer.app), "layoutManager", lambda self: None)
    monkeypatch.setattr(host.slicer.util, "resetSliceViews", lambda: host.slicer.app.layoutManager().resetSliceViews())
    panel.find("ball")
    assert panel.state == "done"


def test_prompts_are_one_per_line_without_repetition(panel):
    panel.find(" ball ", "", "ball", "other ball")
    assert [row[0] for row in panel.table()] == ["ball", "other ball"]


def test_later_prompts_are_added_to_the_table_and_repeated_ones_replaced(panel):
    panel.find("ball")
    panel.find("second")
    panel.find("ball")
    assert [row[0] for row in panel.table()] == ["second", "ball"]
    assert len(panel.nodes()) == 2


def test_threshold_acts_at_once_and_runs_no_job(host, panel):
    panel.find("ball")
    before = panel.table()[0][3]
    panel.ui.thresholdSlider.value = 0.8
    host.wait_until(lambda: panel.table()[0][3] != before)
    assert (panel.state, panel.widget.panel.run) == ("done", None)
    np.testing.assert_array_equal(panel.mask(), panel.expected(0.8))


def test_each_prompt_keeps_its_own_threshold(host, panel):
    panel.find("ball", "second")
    panel.ui.thresholdSlider.value = 0.8
    host.wait_until(lambda: panel.mask(0).sum() == panel.expected(0.8).sum())
    panel.ui.resultTable.setCurrentCell(1, 0)
    assert panel.ui.thresholdSlider.value == pytest.approx(0.5)
    panel.ui.resultTable.setCurrentCell(0, 0)
    assert panel.ui.thresholdSlider.value == pytest.approx(0.8)
    assert panel.mask(1).sum() == panel.expected(0.5).sum()


def test_row_selected_right_after_the_slider_was_moved_keeps_its_mask(host, panel):
    panel.find("ball", "second")
    panel.ui.thresholdSlider.value = 0.8
    panel.ui.resultTable.setCurrentCell(1, 0)
    host.wait_until(lambda: panel.mask(0).sum() == panel.expected(0.8).sum())
    assert panel.mask(1).sum() == panel.expected(0.5).sum()
    assert panel.ui.thresholdSlider.value == pytest.approx(0.5)


def test_slider_of_another_window_changes_only_its_own_row(host, panel):
    second = host.second_window("MaskWhatMatters")
    panel.find("ball", "second")
    second.ui.resultTable.setCurrentCell(1, 0)
    panel.ui.thresholdSlider.value = 0.8
    host.wait_until(lambda: second.ui.resultTable.item(0, 3).text() == panel.table()[0][3] != panel.table()[1][3])
    assert panel.mask(1).sum() == panel.expected(0.5).sum()
    second.cleanup()
    second.parent.hide()


def test_opacity_changes_the_overlay_alone(host, panel):
    panel.find("ball")
    mask = panel.mask()
    panel.ui.opacitySlider.value = 0.25
    for name in ("Red", "Yellow", "Green"):
        view = host.slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()
        assert view.GetForegroundOpacity() == pytest.approx(0.25)
    np.testing.assert_array_equal(panel.mask(), mask)


def test_eye_hides_and_shows_a_result(host, panel):
    panel.find("ball")
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    (segmentation,) = panel.nodes()
    panel.ui.resultTable.cellClicked.emit(0, 5)
    assert (segmentation.GetDisplayNode().GetVisibility(), view.GetForegroundVolumeID()) == (0, None)
    panel.ui.resultTable.cellClicked.emit(0, 5)
    assert segmentation.GetDisplayNode().GetVisibility() == 1
    assert view.GetForegroundVolumeID() is not None


def test_views_jump_to_what_was_found(host, panel, scan):
    panel.find("ball")
    node = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert node.GetSliceToRAS().GetElement(2, 3) == pytest.approx(3 + 2.5 * 5.5, abs=1.3)


def test_surface_is_made_and_removed_on_demand(panel):
    panel.find("ball")
    segmentation = panel.nodes()[0].GetSegmentation()
    panel.ui.show3DCheckBox.checked = True
    assert segmentation.ContainsRepresentation("Closed surface")
    panel.ui.show3DCheckBox.checked = False
    assert not segmentation.ContainsRepresentation("Closed surface")


def test_mask_copied_to_a_segment_survives_the_next_run(panel):
    panel.find("ball")
    panel.ui.toSegmentButton.click()
    copy = panel.nodes()[1]
    assert copy.GetName() == "scan segments"
    assert copy.GetSegmentation().GetNthSegment(0).GetName() == "ball"
    panel.find("ball")
    np.testing.assert_array_equal(panel.mask(1), panel.expected(0.5))


def test_box_is_put_around_the_mask(panel, scan):
    from MaskWhatMattersLib.bridge.regions import region_from_node

    panel.find("ball")
    panel.ui.toBoxButton.click()
    (box,) = panel.nodes("vtkMRMLMarkupsROINode")
    inside = region_from_node(box, scan).array[0] > 0
    voxels = np.argwhere(panel.expected(0.5))
    bounding = np.zeros_like(inside)
    bounding[tuple(slice(low, high + 1) for low, high in zip(voxels.min(0), voxels.max(0), strict=True))] = True
    np.testing.assert_array_equal(inside, bounding)


def test_own_segment_is_shown_as_relevance(host, panel, scan):
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import add_segment

    node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    masks = [np.zeros((12, 24, 20), bool) for _ in range(2)]
    masks[0][2:5, 3:9, 4:7] = masks[1][8:10, 10:20, 10:12] = True
    for name, mask in zip(("first", "second"), masks, strict=True):
        add_segment(node, name, mask, local_affine(scan), (1, 0, 0))
    panel.choose("roi")
    panel.ui.regionSelector.setCurrentNode(node)
    combo = panel.ui.segmentCombo
    assert [combo.itemText(index) for index in range(combo.count)] == ["All segments", "first", "second"]
    combo.setCurrentIndex(2)
    panel.find("my second")
    np.testing.assert_array_equal(panel.mask(1), masks[1])


def test_modality_chosen_by_the_user_reaches_the_localizer(panel):
    panel.ui.modalityCombo.setCurrentIndex(panel.ui.modalityCombo.findData("MR"))
    panel.find("ball")
    assert panel.ui.resultLabel.text == "modality MR"


def test_earlier_prompts_come_back(host, panel):
    panel.find("ball", "gone")
    panel.type("")
    combo = panel.ui.historyCombo
    assert combo.itemText(1) == "ball, gone"
    combo.setCurrentIndex(1)
    combo.activated.emit(1)
    assert panel.ui.promptEdit.toPlainText() == "ball\ngone"


def test_research_weights_are_acknowledged_once(host, panel):
    panel.type("ball")
    panel.choose("probe-research")
    assert panel.ui.acknowledgeCheckBox.visible
    assert not panel.ui.applyButton.enabled
    panel.ui.acknowledgeCheckBox.checked = True
    assert panel.ui.applyButton.enabled
    panel.choose("probe")
    assert not panel.ui.acknowledgeCheckBox.visible
    panel.choose("probe-research")
    assert panel.ui.applyButton.enabled


def test_description_and_licence_of_the_localizer_are_shown(panel):
    panel.choose("builtin-research")
    text = panel.ui.localizerInfoLabel.text
    assert "Research use only" in text
    assert "network" in text


def test_missing_values_are_refused_and_replaced_when_asked(host, panel, scan):
    host.slicer.util.arrayFromVolume(scan)[0, 0, 0] = np.nan
    panel.find("ball")
    assert panel.state == "failed"
    assert panel.ui.failureLabel.text.startswith('1 voxels of "scan" hold no number')
    assert "Replace missing values" in panel.ui.adviceLabel.text
    panel.ui.replaceNanCheckBox.checked = True
    panel.find("ball")
    assert panel.state == "done"
    assert not panel.ui.failureFrame.visible


@pytest.mark.parametrize("prompt", ["左肺", "левое лёгкое", "🫁", "الرئة"])
def test_prompts_in_other_scripts_are_names_as_good_as_any(panel, prompt):
    panel.find(prompt)
    assert panel.state == "done"
    assert panel.nodes()[0].GetName() == prompt


def test_very_long_prompt_is_refused_with_advice(panel, scan, host):
    box = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    box.SetSize(1000, 1000, 1000)
    panel.choose("roi")
    panel.ui.regionSelector.setCurrentNode(box)
    panel.find("left lung " * 1000)
    assert panel.state == "failed"
    assert "500" in panel.ui.failureLabel.text + panel.ui.adviceLabel.text
    assert panel.nodes() == []
