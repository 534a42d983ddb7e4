"""The tab "Adapt to my site" before a training: which scans are chosen, and what keeps it from starting."""

from __future__ import annotations

import numpy as np
import pytest

from adapt_tab import AdaptTab


@pytest.fixture
def adapt(host, corn_models) -> AdaptTab:
    return AdaptTab(host, host.open_module("CornSegmentation"))


def test_training_needs_a_labelled_scan_first(adapt):
    assert (adapt.ui.applyButton.text, adapt.ui.applyButton.enabled) == ("Train", False)
    assert "Add at least one volume" in adapt.ui.applyButton.toolTip
    assert "four or more" in adapt.ui.summaryLabel.text


def test_added_rows_show_whether_label_and_scan_fit(adapt):
    adapt.add_pair(1)
    volume, segmentation = adapt.add_nodes(2)
    volume.SetOrigin(volume.GetOrigin()[0] + 0.7, *volume.GetOrigin()[1:])
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(adapt.volume(1))
    adapt.choose_pair(volume, segmentation)
    adapt.ui.addPairButton.click()
    assert adapt.table() == [
        ["Patient 1", "Atrium 1", "\u2713 same grid", "teaches"],
        ["Patient 2", "Atrium 2", "\u2713 will be resampled", "teaches"],
    ]


def test_fewer_than_four_pairs_say_that_nothing_is_held_out(adapt):
    for seed in range(3):
        adapt.add_pair(seed)
    assert "With fewer than 4 labelled scans none is held out" in adapt.ui.summaryLabel.text
    adapt.add_pair(3)
    assert "Learns from 3 labelled and 0 unlabelled scans for 30 min. 1 held out" in adapt.ui.summaryLabel.text
    assert [row[3] for row in adapt.table()] == ["teaches"] * 3 + ["measures"]


def test_scan_that_is_labelled_already_is_refused(adapt):
    adapt.add_pair(1)
    adapt.ui.addPairButton.click()
    assert len(adapt.table()) == 1
    assert "Patient 1 is there twice" in adapt.ui.summaryLabel.text


def test_scan_ticked_as_unlabelled_cannot_be_labelled_too(adapt):
    volume, segmentation = adapt.add_nodes(1)
    adapt.tick("Patient 1")
    adapt.choose_pair(volume, segmentation)
    adapt.ui.addPairButton.click()
    assert adapt.table() == []
    assert "both labelled and unlabelled" in adapt.ui.summaryLabel.text


def test_labelled_scans_leave_the_list_of_unlabelled_ones(adapt):
    adapt.add_nodes(1)
    adapt.add_pair(2)
    assert adapt.listed() == [("Patient 1", False)]
    adapt.ui.tickAllButton.click()
    assert adapt.listed() == [("Patient 1", True)]
    assert "and 1 unlabelled" in adapt.ui.summaryLabel.text
    adapt.tick("Patient 1", False)
    assert "and 0 unlabelled" in adapt.ui.summaryLabel.text
    assert "learns from the labelled ones alone" in adapt.ui.summaryLabel.text


def test_segment_is_asked_for_where_there_are_several(adapt):
    volume, segmentation = adapt.add_nodes(1)
    adapt.choose_pair(volume, segmentation)
    assert not adapt.ui.pairSegmentCombo.visible
    adapt.add_segment(segmentation, "aorta", adapt.mask(1))
    other, _ = adapt.add_nodes(2)
    adapt.choose_pair(other, segmentation)
    adapt.choose_pair(volume, segmentation)
    adapt.ui.pairLabelSelector.setCurrentNode(None)
    adapt.ui.pairLabelSelector.setCurrentNode(segmentation)
    assert adapt.ui.pairSegmentCombo.visible
    adapt.ui.pairSegmentCombo.setCurrentIndex(2)
    adapt.ui.addPairButton.click()
    assert adapt.table()[0][1] == "Atrium 1: aorta"


def test_folders_are_added_with_one_question_where_they_lie_side_by_side(host, adapt, tmp_path):
    from corn_phantoms import write_atrium_folder

    folder = write_atrium_folder(tmp_path / "site", 3)
    (folder / "labels" / "scan2.nii.gz").unlink()
    host.dialogs.answers.append(str(folder))
    adapt.ui.addFolderButton.click()
    assert [row[:3] for row in adapt.table()] == [[name, name, "\u2713 same grid"] for name in ("scan0", "scan1")]
    assert adapt.listed() == [("scan2", True)]


def test_folder_without_label_maps_of_the_same_names_is_explained(host, adapt, tmp_path):
    from corn_phantoms import write_atrium_folder

    folder = write_atrium_folder(tmp_path, 1)
    (folder / "labels" / "scan0.nii.gz").rename(folder / "labels" / "other.nii.gz")
    host.dialogs.answers.extend([str(folder / "images"), str(folder / "labels")])
    adapt.ui.addFolderButton.click()
    assert adapt.table() == []
    assert "Name each label map like its scan" in adapt.ui.summaryLabel.text


def test_label_map_file_of_another_grid_is_refused_with_the_way_out(host, adapt, tmp_path):
    from corn_phantoms import atrium_scan, write_atrium_folder
    from MaskWhatMattersLib.volumes import write_volume

    folder = write_atrium_folder(tmp_path, 2)
    write_volume(atrium_scan(0, (20, 28, 30))[1], folder / "labels" / "scan0.nii.gz")
    host.dialogs.answers.append(str(folder))
    adapt.ui.addFolderButton.click()
    assert [row[0] for row in adapt.table()] == ["scan1"]
    assert "Load both into the scene" in adapt.ui.summaryLabel.text


def test_unlabelled_folder_is_added_and_removed(host, adapt, tmp_path):
    from corn_phantoms import write_atrium_folder

    host.dialogs.answers.append(str(write_atrium_folder(tmp_path, 2) / "images"))
    adapt.ui.addUnlabelledButton.click()
    assert adapt.listed() == [("scan0", True), ("scan1", True)]
    adapt.ui.unlabelledList.item(0).setSelected(True)
    adapt.ui.removeUnlabelledButton.click()
    assert adapt.listed() == [("scan1", True)]


def test_removed_rows_and_removed_nodes_leave_the_table_usable(host, adapt):
    adapt.add_pair(1)
    adapt.add_pair(2)
    adapt.ui.labelledTable.selectRow(0)
    adapt.ui.removePairButton.click()
    assert [row[0] for row in adapt.table()] == ["Patient 2"]
    host.slicer.mrmlScene.RemoveNode(adapt.volume(2))
    assert adapt.table()[0][2] == "\u2717 refused"
    assert "no longer in the scene" in adapt.ui.applyButton.toolTip


def test_name_of_the_model_must_be_new_and_plain(adapt):
    adapt.add_pair(1)
    adapt.from_scratch()
    for name in ("left-atrium", "my/model"):
        adapt.ui.nameEdit.text = name
        assert not adapt.ui.applyButton.enabled
    assert "cannot be the name of a model" in adapt.ui.applyButton.toolTip
    adapt.ui.nameEdit.text = "st-marys-2026"
    assert adapt.ui.applyButton.enabled, adapt.ui.applyButton.toolTip


def test_research_model_is_adapted_only_once_acknowledged(adapt):
    adapt.add_pair(1)
    assert "research only" in adapt.ui.applyButton.toolTip
    adapt.widget.ui.acknowledgeCheckBox.checked = True
    adapt.widget.ui.tabs.setCurrentIndex(0)
    adapt.widget.ui.tabs.setCurrentIndex(1)
    assert adapt.ui.applyButton.enabled, adapt.ui.applyButton.toolTip


def test_scans_come_back_with_a_saved_scene(host, adapt, tmp_path):
    adapt.add_pair(1)
    adapt.add_nodes(2)
    adapt.tick("Patient 2")
    adapt.ui.minutesSpinBox.value = 12
    host.save_scene(tmp_path / "scene.mrb")
    host.load_scene(tmp_path / "scene.mrb")
    assert [row[0] for row in adapt.table()] == ["Patient 1"]
    assert adapt.listed() == [("Patient 2", True)]
    assert adapt.ui.minutesSpinBox.value == 12


def test_imported_scene_keeps_its_scans_although_their_nodes_are_renumbered(host, adapt, tmp_path):
    adapt.add_pair(1)
    adapt.add_nodes(2)
    adapt.tick("Patient 2")
    host.save_scene(tmp_path / "scene.mrb")
    host.close_scene()
    for seed in (3, 4):
        adapt.add_pair(seed)  # they take the IDs that patients 1 and 2 had
    host.import_scene(tmp_path / "scene.mrb")
    assert [row[:2] for row in adapt.table()] == [["Patient 1", "Atrium 1"]]
    assert adapt.listed() == [("Patient 3", False), ("Patient 4", False), ("Patient 2", True)]
    scans = adapt.panel.scans
    assert [pair.image for pair in scans.labelled] == [adapt.volume(1).GetID()]
    assert scans.unlabelled == [adapt.volume(2).GetID()]
    host.slicer.mrmlScene.RemoveNode(adapt.volume(1))
    assert adapt.table()[0][:3] == ["Patient 1", "Atrium 1", "\u2717 refused"]


def test_closing_the_scene_empties_the_table(host, adapt):
    adapt.add_pair(1)
    host.close_scene()
    assert adapt.table() == []
    assert adapt.listed() == []


def test_panel_as_a_person_sees_it(host, adapt, screenshots):
    for seed in range(4):
        adapt.add_pair(seed)
    adapt.add_nodes(5)
    adapt.ui.tickAllButton.click()
    picture = host.screenshot(adapt.widget, screenshots / "adapt.png")
    assert np.asarray(picture.stat().st_size) > 10_000
