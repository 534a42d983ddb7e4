"""What a user does in the tab "Segment" and what appears, by clicking; jobs run for real."""

from __future__ import annotations

import re

import numpy as np
import pytest


def test_scan_gets_a_segmentation_with_figures(tab):
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    (segmentation,) = tab.nodes()
    assert segmentation.GetName() == "heart left atrium"
    assert segmentation.GetSegmentation().GetNthSegment(0).GetName() == "Left atrium"
    assert tab.ui.volumeLabel.text == f"{tab.mask().sum() * 8 / 1000:.1f} mL"
    assert re.search(r"\d+ % \((good|look closely|poor)\)", tab.ui.agreementLabel.text)
    assert tab.ui.noticeLabel.text == "Not for clinical use. Model left-atrium 0.0.1."
    assert not tab.ui.resultTable.visible


def test_segmentation_lies_on_the_voxels_of_the_scan(host, tab, heart):
    tab.apply()
    np.testing.assert_array_equal(tab.mask(), host.slicer.util.arrayFromVolume(heart) > 450)


def test_result_is_shown_in_the_views(host, tab, heart):
    tab.apply()
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()) == (heart.GetID(), None)
    slice_node = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    middle = np.argwhere(tab.mask()).mean(0)[0] * 2 + 3
    assert slice_node.GetSliceToRAS().GetElement(2, 3) == pytest.approx(middle, abs=4)


def test_body_surface_gives_the_indexed_volume(host, tab):
    tab.apply()
    assert not tab.ui.indexedLabel.visible
    tab.ui.bodySurfaceSpinBox.value = 1.85
    ml = float(tab.ui.volumeLabel.text.split()[0])
    assert tab.ui.indexedLabel.text.endswith(" mL/m\u00b2")
    assert float(tab.ui.indexedLabel.text.split()[0]) == pytest.approx(ml / 1.85, abs=0.06)
    tab.ui.bodySurfaceSpinBox.value = 0.0
    assert not tab.ui.indexedLabel.visible


def test_body_surface_can_be_typed_in_key_by_key(host, tab):
    from PySide6.QtTest import QTest

    tab.apply()
    tab.ui.bodySurfaceSpinBox.selectAll()
    for key in "1.85":
        QTest.keyClicks(tab.ui.bodySurfaceSpinBox, key)
        host.process_events()
    assert tab.ui.bodySurfaceSpinBox.value == 1.85
    assert tab.ui.indexedLabel.visible


def test_disagreement_overlay_is_shown_on_demand(host, tab):
    tab.apply()
    view = host.slicer.app.layoutManager().sliceWidget("Green").mrmlSliceCompositeNode()
    tab.ui.disagreementCheckBox.click()
    overlay = host.slicer.mrmlScene.GetNodeByID(view.GetForegroundVolumeID())
    assert overlay.GetName() == "heart disagreement"
    tab.ui.opacitySlider.value = 0.3
    assert view.GetForegroundOpacity() == pytest.approx(0.3)
    tab.ui.disagreementCheckBox.click()
    assert view.GetForegroundVolumeID() is None


def test_surface_is_made_and_removed_on_demand(tab):
    tab.apply()
    segmentation = tab.nodes()[0].GetSegmentation()
    tab.ui.show3DCheckBox.checked = True
    assert segmentation.ContainsRepresentation("Closed surface")
    tab.ui.show3DCheckBox.checked = False
    assert not segmentation.ContainsRepresentation("Closed surface")


def test_surface_that_the_user_made_stays_when_the_result_is_shown_again(tab):
    tab.apply()
    tab.nodes()[0].CreateClosedSurfaceRepresentation()  # as the button Show 3D of the Segment Editor does
    tab.widget.segment.results.show_in_views()
    assert tab.nodes()[0].GetSegmentation().ContainsRepresentation("Closed surface")


def test_review_is_asked_for_with_its_reasons(host, tab):
    nothing = host.add_volume(np.random.default_rng(0).normal(100, 1, (16, 16, 16)).astype(np.float32), "noise")
    tab.ui.inputSelector.setCurrentNode(nothing)
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    assert tab.ui.reviewLabel.visible
    assert "no left atrium found" in tab.ui.reviewLabel.text
    assert tab.ui.volumeLabel.text == "0.0 mL"


def test_no_review_where_all_is_well(tab):
    tab.apply()
    assert not tab.ui.reviewLabel.visible
    assert "93 % (good)" in tab.ui.agreementLabel.text


@pytest.mark.parametrize(
    ("agreement", "review", "light", "word"),
    [
        ("0.97", "no", "#2e8b57", "good"),
        ("0.97", "yes", "#d08700", "look closely"),
        ("0.87", "no", "#d08700", "look closely"),
        ("0.81", "no", "#d08700", "look closely"),
        ("0.60", "yes", "#c62f2f", "poor"),
        ("nan", "yes", "#c62f2f", "none"),
    ],
)
def test_traffic_light_follows_agreement_and_review(host, tab, agreement, review, light, word):
    tab.apply()
    (segmentation,) = tab.nodes()
    segmentation.SetAttribute("MaskWhatMatters.Agreement", agreement)
    segmentation.SetAttribute("MaskWhatMatters.Review", review)
    host.wait_until(lambda: word in tab.ui.agreementLabel.text and light in tab.ui.agreementLabel.text)
    assert tab.ui.reviewLabel.visible == (review == "yes")


def test_several_volumes_give_a_table_and_a_click_shows_one(host, tab, heart, add_heart):
    other = add_heart("other heart", 2)
    tab.ui.inputSelector.setCurrentNode(heart)
    tab.ui.studyCheckBox.checked = True
    assert tab.ui.studyCheckBox.text == "All volumes of the scene (2)"
    tab.apply()
    assert [row[0] for row in tab.table()] == ["heart", "other heart"]
    assert tab.ui.resultTable.visible
    tab.ui.resultTable.cellClicked.emit(1, 0)
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert view.GetBackgroundVolumeID() == other.GetID()
    assert [node.GetDisplayNode().GetVisibility() for node in tab.nodes()] == [0, 1]
    assert "other heart left atrium" in tab.ui.resultLabel.text


def test_body_surface_belongs_to_one_scan(host, tab, add_heart):
    add_heart("other heart", 2)
    tab.ui.studyCheckBox.checked = True
    tab.apply()
    tab.ui.resultTable.cellClicked.emit(0, 0)
    tab.ui.bodySurfaceSpinBox.value = 2.0
    tab.ui.resultTable.cellClicked.emit(1, 0)
    assert tab.ui.bodySurfaceSpinBox.value == 0.0
    assert [bool(row[2]) for row in tab.table()] == [True, False]


def test_one_bad_scan_of_several_is_named_and_the_others_are_segmented(host, tab, add_heart):
    bad = add_heart("bad heart", 2)
    host.slicer.util.updateVolumeFromArray(bad, np.full((8, 8, 8), np.nan, np.float32))
    tab.ui.studyCheckBox.checked = True
    tab.apply()
    assert tab.state == "done"
    assert [row[0] for row in tab.table()] == ["heart", "bad heart"]
    assert tab.table()[1][3] == "failed"
    tab.ui.resultTable.cellClicked.emit(1, 0)
    assert "hold no number" in tab.ui.resultLabel.text
    assert not tab.ui.numbersFrame.visible


def test_volumes_of_the_study_are_taken_where_there_is_one(host, tab, heart, add_heart):
    hierarchy = host.slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(host.slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "MR heart")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(heart), study)
    add_heart("of another study", 2)
    tab.widget.segment.refresh()
    tab.ui.inputSelector.setCurrentNode(heart)
    assert tab.ui.studyCheckBox.text == "All volumes in this study (1)"
    assert "MR heart" in tab.ui.studyCheckBox.toolTip


def test_models_are_listed_and_described(tab):
    combo = tab.ui.modelCombo
    names = [combo.itemData(index) for index in range(combo.count)]
    assert names[0] == "left-atrium"
    assert "our-site" in names
    assert "builtin" not in names
    tab.choose(combo, "our-site")
    assert combo.currentText == "our-site 1.2.3 (Dice 0.912)"
    assert "Dice 0.912 on made-up scans. Trained on made up (3 scans)." in tab.ui.modelInfoLabel.text
    assert tab.ui.modelInfoLabel.toolTip == "Dice: made-up scans, by hand"
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    assert "our-site 1.2.3" in tab.ui.noticeLabel.text


def test_research_weights_are_acknowledged_once_for_each_model(tab):
    tab.choose(tab.ui.modelCombo, "our-site")
    assert (tab.ui.acknowledgeCheckBox.visible, tab.ui.applyButton.enabled) == (True, False)
    assert "research" in tab.ui.applyButton.toolTip
    tab.ui.acknowledgeCheckBox.checked = True
    assert tab.ui.applyButton.enabled
    tab.choose(tab.ui.modelCombo, "left-atrium")
    tab.choose(tab.ui.modelCombo, "our-site")
    assert tab.ui.applyButton.enabled


def test_model_made_meanwhile_is_chosen(tab, corn_models):
    card = (corn_models / "our-site.json").read_text().replace("our-site", "fresh")
    files = {corn_models / "fresh.json": card, corn_models / "fresh.safetensors": ""}
    try:
        for path, text in files.items():
            path.write_text(text)
        tab.widget.segment.use_model("fresh")
        assert tab.ui.modelCombo.itemData(tab.ui.modelCombo.currentIndex) == "fresh"
    finally:
        for path in files:
            path.unlink()


def test_own_model_file_is_taken(tab, corn_models):
    tab.ui.modelEdit.text = str(corn_models / "our-site.safetensors")
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    assert "our-site 1.2.3" in tab.ui.noticeLabel.text


def test_apply_says_why_it_is_disabled(host, tab, heart):
    tab.choose(tab.ui.computeCombo, "scheduler")
    assert "scheduler" in tab.ui.applyButton.toolTip
    tab.choose(tab.ui.computeCombo, "local")
    assert tab.ui.applyButton.enabled
    host.slicer.mrmlScene.RemoveNode(heart)
    assert (tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip) == (False, "Choose a volume first")


def test_overlay_of_ours_is_refused_as_input(host, tab):
    tab.apply()
    tab.ui.inputSelector.setCurrentNode(host.slicer.util.getNode("heart disagreement"))
    assert "overlay of ours" in tab.ui.applyButton.toolTip
    assert tab.ui.studyCheckBox.text == "All volumes of the scene (1)"


def test_running_again_updates_and_leaves_what_the_user_edited(host, tab, heart):
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import write_segment

    tab.apply()
    first = tab.nodes()[0]
    tab.apply()
    assert [node.GetID() for node in tab.nodes()] == [first.GetID()]
    painted = tab.mask()
    painted[0] = True
    write_segment(first, first.GetSegmentation().GetNthSegmentID(0), painted, local_affine(heart))
    host.wait_until(lambda: tab.ui.volumeLabel.text == f"{painted.sum() * 8 / 1000:.1f} mL (after your edits)")
    tab.apply()
    assert [node.GetName() for node in tab.nodes()] == ["heart left atrium", "heart left atrium (2)"]
    np.testing.assert_array_equal(tab.mask(0), painted)


def test_segmentation_of_the_user_with_the_same_name_is_not_touched(host, tab):
    own = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "heart left atrium")
    tab.apply()
    assert own.GetSegmentation().GetNumberOfSegments() == 0
    assert [node.GetName() for node in tab.nodes()] == ["heart left atrium", "heart left atrium (2)"]


def test_result_that_the_user_removes_leaves_the_panel(host, tab):
    tab.apply()
    assert tab.ui.resultButton.visible
    host.slicer.mrmlScene.RemoveNode(tab.nodes()[0])
    host.wait_until(lambda: not tab.ui.resultButton.visible)


def test_missing_values_are_refused_and_replaced_when_asked(host, tab, heart):
    array = host.slicer.util.arrayFromVolume(heart).astype(np.float32)
    array[0, 0, 0] = np.nan
    host.slicer.util.updateVolumeFromArray(heart, array)
    tab.click()
    assert tab.state == "failed"
    assert "hold no number" in tab.ui.failureLabel.text
    tab.ui.replaceNanCheckBox.checked = True
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
