"""The tab "Finetune" before a training: what is learned from what, and what keeps it from starting."""

from __future__ import annotations

import pytest

from finetune_tab import FinetuneTab, save_tiny_encoder


@pytest.fixture
def tab(host, user_models) -> FinetuneTab:
    return FinetuneTab(host, host.open_module("MaskWhatMatters"))


def to_folder(tab, folder="") -> None:
    tab.choose(tab.ui.sourceCombo, "folder")
    tab.ui.folderEdit.text = str(folder)


def test_finetuning_needs_a_labelled_scan_first(tab):
    assert (tab.ui.applyButton.text, tab.ui.applyButton.enabled) == ("Finetune", False)
    assert "Add at least one volume" in tab.ui.applyButton.toolTip
    assert "Add at least one volume" in tab.ui.summaryLabel.text


def test_rows_show_grid_and_role_and_the_summary_names_the_classes(tab):
    for seed in range(3):
        tab.add_pair(seed, "left atrium", "corner")
    assert tab.table() == [
        ["Patient 0", "Heart 0", "\u2713 same grid", "teaches"],
        ["Patient 1", "Heart 1", "\u2713 same grid", "teaches"],
        ["Patient 2", "Heart 2", "\u2713 same grid", "measures"],
    ]
    assert tab.ui.summaryLabel.text.startswith("Learns left atrium, corner from 2 scans. 1 held out")


def test_share_that_is_held_out_moves_rows_between_the_roles(tab):
    for seed in range(4):
        tab.add_pair(seed)
    tab.ui.validationSpinBox.value = 50
    assert [row[3] for row in tab.table()] == ["teaches", "teaches", "measures", "measures"]
    tab.ui.validationSpinBox.value = 0
    assert [row[3] for row in tab.table()] == ["teaches"] * 4
    assert "None is held out" in tab.ui.summaryLabel.text


def test_single_segment_is_the_only_class(tab):
    tab.choose_pair(*tab.add_nodes(1, "left atrium", "corner"))
    tab.ui.pairSegmentCombo.setCurrentIndex(2)
    tab.ui.addPairButton.click()
    assert tab.table()[0][1] == "Heart 1: corner"
    assert "Learns corner from 1 scans" in tab.ui.summaryLabel.text


def test_scans_with_labels_of_their_own_are_refused_with_the_way_out(tab):
    tab.add_pair(1, "atrium of Anna")
    tab.add_pair(2, "atrium of Bert")
    assert "Give one structure the same name" in tab.ui.summaryLabel.text
    assert not tab.ui.applyButton.enabled


def test_scan_without_one_of_the_classes_is_told_of(tab):
    tab.add_pair(1, "left atrium", "corner")
    tab.add_pair(2, "Left Atrium")
    assert "Patient 2 has no corner" in tab.ui.summaryLabel.text
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip


def test_removed_rows_and_removed_nodes_leave_the_table_usable(host, tab):
    tab.add_pair(1)
    tab.add_pair(2)
    tab.ui.labelledTable.selectRow(0)
    tab.ui.removePairButton.click()
    assert [row[0] for row in tab.table()] == ["Patient 2"]
    host.slicer.mrmlScene.RemoveNode(tab.node("Patient 2"))
    assert tab.table()[0][2] == "\u2717 refused"
    assert "no longer in the scene" in tab.ui.applyButton.toolTip


@pytest.mark.parametrize(
    ("task", "hint"), [("classification", "One folder of images per class"), ("detection", "COCO file")]
)
def test_other_tasks_take_a_folder_and_say_what_it_holds(tab, task, hint):
    tab.choose(tab.ui.taskCombo, task)
    assert not tab.ui.sourceCombo.enabled
    assert (tab.ui.sceneFrame.visible, tab.ui.folderFrame.visible) == (False, True)
    assert hint in tab.ui.folderHintLabel.text
    assert "Choose the folder" in tab.ui.applyButton.toolTip
    tab.choose(tab.ui.taskCombo, "segmentation")
    assert tab.ui.sceneFrame.visible
    assert tab.ui.sourceCombo.currentText == "From the scene"


def test_folder_is_chosen_by_the_button_and_must_exist(host, tab, tmp_path):
    to_folder(tab, tmp_path / "missing")
    assert "neither a folder nor a manifest" in tab.ui.summaryLabel.text
    host.dialogs.answers.append(str(tmp_path))
    tab.ui.folderButton.click()
    assert tab.ui.folderEdit.text == str(tmp_path)
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip


def test_from_scratch_a_folder_needs_to_be_told_what_its_images_are(tab, tmp_path):
    to_folder(tab, tmp_path)
    assert tab.ui.dimsCombo.visible
    tab.choose(tab.ui.dimsCombo, 2)
    assert tab.panel.start.dims(is_folder=True) == 2
    tab.choose(tab.ui.sourceCombo, "scene")
    assert not tab.ui.dimsCombo.visible


def test_folder_of_pictures_is_known_as_such(host, tab, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").touch()
    host.dialogs.answers.append(str(tmp_path))
    tab.choose(tab.ui.taskCombo, "classification")
    tab.ui.folderButton.click()
    assert tab.ui.dimsCombo.currentText == "Pictures and slices (2D)"


def test_start_models_are_those_that_fit_the_task(tab, user_models):
    save_tiny_encoder(user_models, "volumes")
    save_tiny_encoder(user_models, "pictures", spatial_dims=2)
    tab.panel.list_models()
    assert {"volumes", "pictures", ""} <= set(tab.offered())
    assert "left-atrium" not in tab.offered()
    tab.choose(tab.ui.taskCombo, "detection")
    assert "pictures" in tab.offered()
    assert "volumes" not in tab.offered()


def test_model_from_the_tab_pretrain_becomes_the_start_model(tab, user_models):
    save_tiny_encoder(user_models, "pretrained")
    tab.choose(tab.ui.taskCombo, "detection")
    tab.widget.finetuneModel("pretrained")
    assert tab.ui.taskCombo.itemData(tab.ui.taskCombo.currentIndex) == "segmentation"
    assert tab.panel.start.name == "pretrained"
    assert "pretrained 0.0.1 (encoder, volumes)" in tab.ui.startCombo.currentText


def test_model_that_was_removed_meanwhile_is_explained_in_the_tab_relevance(tab):
    tab.widget.useFinetuned("gone")
    assert 'no model "gone"' in tab.widget.ui.failureLabel.text
    assert tab.widget.logic.getParameterNode().localizer == "builtin"


def test_research_model_is_used_only_once_acknowledged(tab, user_models):
    save_tiny_encoder(user_models, "research", research_only=True)
    tab.panel.use_model("research")
    tab.add_pair(1)
    assert "research only" in tab.ui.applyButton.toolTip
    tab.ui.acknowledgeCheckBox.checked = True
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip
    tab.ui.acknowledgeCheckBox.checked = False
    assert not tab.ui.applyButton.enabled


def test_name_of_the_model_must_be_new_and_plain(tab):
    tab.add_pair(1)
    for name in ("left-atrium", "my/model"):
        tab.ui.nameEdit.text = name
        assert not tab.ui.applyButton.enabled
    assert "cannot be the name of a model" in tab.ui.applyButton.toolTip


def test_choice_comes_back_with_a_saved_scene(host, tab, tmp_path):
    tab.add_pair(1)
    tab.ui.validationSpinBox.value = 35
    tab.choose(tab.ui.presetCombo, "best")
    host.save_scene(tmp_path / "scene.mrb")
    host.close_scene()
    assert tab.table() == []
    host.load_scene(tmp_path / "scene.mrb")
    assert [row[0] for row in tab.table()] == ["Patient 1"]
    assert tab.ui.validationSpinBox.value == 35
    assert tab.ui.presetCombo.currentText == "Best"


def test_reloaded_module_shows_the_same_choice(host, tab):
    tab.add_pair(1)
    host.close_module("MaskWhatMatters")
    again = FinetuneTab(host, host.open_module("MaskWhatMatters"))
    assert [row[0] for row in again.table()] == ["Patient 1"]


def test_scheduler_is_asked_about_before_scans_leave(host, tab):
    tab.add_pair(1)
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://127.0.0.1:9"
    asked = []
    tab.panel.ask = lambda text, title: asked.append(text)
    tab.ui.applyButton.click()
    assert "sent to tcp://127.0.0.1:9" in asked[0]
    assert not tab.panel.job.is_busy


def test_panel_as_a_person_sees_it(host, tab, screenshots):
    for seed in range(4):
        tab.add_pair(seed, "left atrium", "corner")
    assert host.screenshot(tab.widget, screenshots / "finetune.png").stat().st_size > 10_000
    tab.choose(tab.ui.taskCombo, "classification")
    assert host.screenshot(tab.widget, screenshots / "finetune-folder.png").stat().st_size > 10_000
