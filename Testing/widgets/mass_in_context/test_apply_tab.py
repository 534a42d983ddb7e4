"""What a user does in the tab "Apply example" and what appears, by clicking; jobs run for real."""

from __future__ import annotations

import html

import numpy as np
import pytest


def test_example_and_target_of_a_simple_scene_are_preselected(tab, example):
    scan, marks = example
    assert (tab.ui.exampleVolumeSelector.currentNode(), tab.ui.exampleLabelSelector.currentNode()) == (scan, marks)
    assert tab.ticks(tab.ui.segmentList) == {"Liver": True, "Spleen": True}
    assert tab.ticks(tab.ui.targetList) == {"target": True}
    assert tab.tip == "Look for Liver, Spleen in 1 volume"


def test_target_gets_the_segments_of_the_example(host, tab, target):
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    _marks, made = tab.nodes()
    assert made.GetName() == "target by example"
    names = [made.GetSegmentation().GetNthSegment(index).GetName() for index in range(2)]
    assert names == ["Liver", "Spleen"]
    mask = host.slicer.util.arrayFromSegmentBinaryLabelmap(made, made.GetSegmentation().GetNthSegmentID(0), target)
    np.testing.assert_array_equal(mask > 0, host.slicer.util.arrayFromVolume(target) > 450)


def test_table_is_sorted_worst_first_and_the_worst_is_shown(host, tab, target, add_scan):
    add_scan("larger", 4)
    tab.tick_all("larger")
    tab.apply()
    rows = tab.table()
    assert [float(row[3]) for row in rows] == sorted(float(row[3]) for row in rows)
    assert {row[0] for row in rows} == {"target", "larger"}
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert host.slicer.mrmlScene.GetNodeByID(view.GetBackgroundVolumeID()).GetName() == rows[0][0]


def test_a_row_shows_its_target_and_goes_to_its_segment(host, tab, target):
    tab.apply()
    liver = [row[1] for row in tab.table()].index("Liver")
    tab.ui.resultTable.setCurrentCell(liver, 0)
    tab.settle()
    assert tab.ui.resultLabel.text.startswith('<a href="show">target: Liver</a> (')
    middle = np.argwhere(host.slicer.util.arrayFromVolume(target) > 450).mean(0)[0] * 2 + 3
    view = host.slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert view.GetSliceToRAS().GetElement(2, 3) == pytest.approx(middle, abs=3)


def test_marks_of_the_example_are_hidden_while_a_target_is_shown(tab, example):
    tab.apply()
    marks, made = tab.nodes()
    assert marks is example[1]
    assert (marks.GetDisplayNode().GetVisibility(), made.GetDisplayNode().GetVisibility()) == (0, 1)


def test_only_ticked_segments_are_looked_for(tab):
    tab.tick(tab.ui.segmentList, "Spleen", False)
    assert tab.tip == "Look for Liver in 1 volume"
    tab.apply()
    assert [row[1] for row in tab.table()] == ["Liver"]


def test_notes_on_the_example_and_on_a_segment_are_shown(host, tab, target):
    tab.choose(tab.ui.modelCombo, "notes")
    host.slicer.util.arrayFromVolume(target)[:] = 150
    tab.apply()
    assert "The example is cropped." in tab.ui.notesLabel.text
    assert "was not found." in tab.ui.notesLabel.text


def test_corrected_result_becomes_another_example_and_no_target(host, tab, example, target, add_scan):
    add_scan("third", 2)
    tab.apply()
    assert tab.ui.addResultButton.enabled
    tab.ui.addResultButton.click()
    tab.settle()
    table = tab.ui.exampleTable
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["example", "target"]
    assert tab.ticks(tab.ui.targetList) == {"third": False}
    assert tab.ui.addResultButton.toolTip == "This volume is an example already"
    tab.tick(tab.ui.targetList, "third")
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    assert len(tab.widget.logic.task.present) == 2


def test_several_examples_are_collected_and_removed(tab, example, target, add_marks):
    marks = add_marks(target, ("liver",), "more marks")
    tab.ui.addExampleButton.click()
    assert tab.ui.exampleVolumeSelector.currentNode() is None
    tab.ui.exampleVolumeSelector.setCurrentNode(target)
    assert tab.ui.exampleLabelSelector.currentNode() is marks
    assert len(tab.widget.apply.example.examples) == 2
    assert tab.ticks(tab.ui.segmentList) == {"Liver": True, "Spleen": True}
    tab.ui.exampleTable.selectRow(0)
    tab.ui.removeExampleButton.click()
    assert [pair.image for pair in tab.widget.apply.example.examples] == [target.GetID()]


def test_segmentation_of_another_place_is_refused_in_words(host, tab, example):
    example[1].GetSegmentation().RemoveAllSegments()
    tab.widget.apply.refresh()
    assert "no such segment" in tab.ui.exampleProblemLabel.text
    assert "no such segment" in tab.tip
    assert not tab.ui.applyButton.enabled


def test_findings_are_said_to_need_tuning(host, tab, target, add_marks):
    add_marks(target, ("Liver tumor",), "finding")
    tab.ui.exampleVolumeSelector.setCurrentNode(target)
    assert tab.ui.exampleHintLabel.text.startswith("Liver tumor: findings are hardly found")


def test_research_model_has_to_be_acknowledged(tab):
    tab.choose(tab.ui.modelCombo, "our-site")
    assert tab.tip == "Tick the box about research use first"
    tab.ui.acknowledgeCheckBox.checked = True
    assert tab.ui.applyButton.enabled


def test_apply_says_what_is_missing(host, tab, target, tmp_path):
    tab.tick(tab.ui.targetList, "target", False)
    assert tab.tip == "Tick at least one volume under Targets first"
    tab.choose(tab.ui.targetKindCombo, "sequence")
    assert tab.tip == "Choose a sequence first"
    tab.choose(tab.ui.targetKindCombo, "folder")
    assert tab.tip == "Choose the folder of the scans first"
    tab.ui.folderEdit.text = str(tmp_path / "none")
    assert tab.tip == f"There is no folder {tmp_path / 'none'}"
    tab.ui.folderEdit.text = str(tmp_path)
    assert tab.tip == "Choose a folder for the results first"
    tab.tick(tab.ui.segmentList, "Liver", False)
    tab.tick(tab.ui.segmentList, "Spleen", False)
    assert tab.tip == "Tick at least one segment first"
    tab.choose(tab.ui.exampleSourceCombo, "task")
    assert tab.tip == "Choose a task file first"
    tab.ui.taskFileEdit.text = str(tmp_path)
    assert tab.tip == f"There is no file {tmp_path}"


def test_existing_segments_are_overwritten_where_the_user_says_so(tab, target, add_marks):
    mine = add_marks(target, ("Liver", "Kidney"), "mine")
    tab.choose(tab.ui.existingCombo, "overwrite")
    tab.apply()
    names = [mine.GetSegmentation().GetNthSegment(index).GetName() for index in range(3)]
    assert names == ["Liver", "Kidney", "Spleen"]


def test_locked_segments_are_told_of(tab, target, add_marks):
    add_marks(target, ("Liver",), "mine")
    tab.choose(tab.ui.existingCombo, "lock")
    tab.apply()
    assert "target: Liver is locked and stays as it was." in tab.ui.notesLabel.text
    assert [row[1] for row in tab.table()] == ["Spleen"]


def test_task_file_is_saved_and_applied_without_the_example(host, tab, example, tmp_path):
    tab.apply()
    host.dialogs.answers.append(str(tmp_path / "organs"))
    tab.ui.saveTaskButton.click()
    path = tmp_path / "organs.task.safetensors"
    assert path.is_file()
    for node in example:
        host.slicer.mrmlScene.RemoveNode(node)
    tab.choose(tab.ui.exampleSourceCombo, "task")
    host.dialogs.answers.append(str(path))
    tab.ui.taskFileButton.click()
    assert tab.ui.taskInfoLabel.text == "Made with mass-tiny 0.0.1 (1 examples)."
    tab.tick(tab.ui.segmentList, "Spleen", False)
    tab.apply()
    assert tab.state == "done", tab.ui.failureLabel.text
    assert not tab.ui.saveTaskButton.enabled


def test_task_is_learned_before_it_is_saved_for_the_first_time(host, tab, tmp_path):
    host.dialogs.answers.append(str(tmp_path / "organs.task.safetensors"))
    tab.ui.saveTaskButton.click()
    tab.wait()
    assert (tmp_path / "organs.task.safetensors").is_file()
    assert len(tab.nodes()) == 1


def test_task_is_learned_again_after_the_example_was_edited(host, tab, example, tmp_path):
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import write_segment

    scan, marks = example
    tab.apply()
    before = tab.widget.logic.task.labels[0].volume_ml
    mask = np.zeros(host.slicer.util.arrayFromVolume(scan).shape, bool)
    mask[:5] = True
    write_segment(marks, marks.GetSegmentation().GetNthSegmentID(0), mask, local_affine(scan))
    host.dialogs.answers.append(str(tmp_path / "organs"))
    tab.ui.saveTaskButton.click()
    tab.wait()
    assert tab.widget.logic.task.labels[0].volume_ml == pytest.approx(mask.sum() * 8 / 1000)
    assert tab.widget.logic.task.labels[0].volume_ml != before


def test_task_of_the_scene_is_saved_and_not_the_file_that_was_applied_last(host, tab, tmp_path):
    tab.apply()
    host.dialogs.answers.append(str(tmp_path / "organs"))
    tab.ui.saveTaskButton.click()
    path = tmp_path / "organs.task.safetensors"
    tab.choose(tab.ui.exampleSourceCombo, "task")
    tab.ui.taskFileEdit.text = str(path)
    tab.apply()
    of_file = tab.widget.logic.task
    tab.choose(tab.ui.exampleSourceCombo, "scene")
    host.dialogs.answers.append(str(tmp_path / "mine"))
    tab.ui.saveTaskButton.click()
    tab.wait()
    assert tab.widget.logic.task is not of_file


def test_results_stay_while_the_user_is_in_another_module(host, tab, target, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    host.slicer.util.saveNode(target, str(folder / "a.nii.gz"))
    tab.choose(tab.ui.targetKindCombo, "folder")
    tab.ui.folderEdit.text, tab.ui.outputEdit.text = str(folder), str(tmp_path / "results")
    tab.apply()
    before = tab.table()
    tab.widget.exit()
    tab.widget.enter()
    assert tab.table() == before
    assert tab.ui.addResultButton.enabled


def test_nothing_is_written_into_surfaces(host, tab, target, add_marks):
    mine = add_marks(target, ("Liver",), "mine")
    mine.CreateClosedSurfaceRepresentation()
    converter = host.slicer.vtkSegmentationConverter
    mine.GetSegmentation().SetSourceRepresentationName(converter.GetSegmentationClosedSurfaceRepresentationName())
    tab.choose(tab.ui.existingCombo, "overwrite")
    tab.apply()
    assert tab.nodes()[-1].GetName() == "target by example"
    assert '"mine" holds surfaces, so what was found is beside it.' in html.unescape(tab.ui.notesLabel.text)


def test_damaged_task_file_is_explained(tab, tmp_path):
    path = tmp_path / "bad.task.safetensors"
    path.write_bytes(b"nothing")
    tab.choose(tab.ui.exampleSourceCombo, "task")
    tab.ui.taskFileEdit.text = str(path)
    assert str(path) in tab.ui.taskInfoLabel.text
    assert not tab.ui.applyButton.enabled


def test_folder_gives_label_maps_and_a_report_and_a_row_loads_its_scan(host, tab, target, tmp_path):
    folder, output = tmp_path / "scans", tmp_path / "results"
    folder.mkdir()
    host.slicer.util.saveNode(target, str(folder / "a.nii.gz"))
    (folder / "b.nii.gz").write_bytes(b"damaged")
    host.slicer.mrmlScene.RemoveNode(target)
    tab.choose(tab.ui.targetKindCombo, "folder")
    tab.ui.folderEdit.text, tab.ui.outputEdit.text = str(folder), str(output)
    assert tab.tip == "Look for Liver, Spleen in every scan of the folder"
    tab.apply()
    assert sorted(path.name for path in output.iterdir()) == ["a.nii.gz", "report.csv"]
    assert [row[0] for row in tab.table(1)] == ["b.nii.gz", "a.nii.gz", "a.nii.gz"]
    tab.ui.resultTable.setCurrentCell(1, 0)
    tab.settle()
    assert len(tab.nodes()) == 1
    tab.ui.resultLabel.linkActivated.emit("show")
    assert tab.nodes()[-1].GetName() == "a by example"
    assert [row[0] for row in tab.table(1)] == ["b.nii.gz", "a", "a"]
    tab.apply()  # what was loaded is of the run before
    assert sorted(row[0] for row in tab.table(1)) == ["a", "a", "a.nii.gz", "a.nii.gz", "b.nii.gz"]


def test_scan_with_missing_values_is_loaded_from_its_row_too(host, logic, example, target, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    host.slicer.util.arrayFromVolume(target)[0, 0, 0] = np.nan
    host.slicer.util.saveNode(target, str(folder / "a.nii.gz"))
    run = logic.applyExample(*example, folder, output=tmp_path / "results", replaceNan=True, wait=False)
    run.result()
    volume, _segmentation = run.rows[0].load()
    assert host.slicer.util.arrayFromVolume(volume)[0, 0, 0] == 0


def test_results_folder_among_the_scans_is_refused(host, tab, target, tmp_path):
    host.slicer.util.saveNode(target, str(tmp_path / "a.nii.gz"))
    tab.choose(tab.ui.targetKindCombo, "folder")
    tab.ui.folderEdit.text = tab.ui.outputEdit.text = str(tmp_path)
    tab.click()
    assert tab.state == "failed"
    assert "is the input folder" in tab.ui.failureLabel.text
