"""The tab "Pretrain" before anything is trained: what it shows, what it asks for, and its live picture."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pretrain_tab import TINY, PretrainTab


@pytest.fixture
def tab(host, user_models, probe_localizer) -> PretrainTab:
    """The tab with two scans, none ticked."""
    tab = PretrainTab(host, host.open_module("MaskWhatMatters"))
    for seed in range(2):
        tab.add_scan(seed)
    host.process_events()
    return tab


@pytest.fixture
def picturing(tab) -> PretrainTab:
    """The tab with its picture: scans ticked, a prompt, and the localizer of the tests."""
    tab.choose(tab.ui.localizerCombo, "probe")
    tab.ui.promptEdit.setPlainText("ball")
    tab.tick_all()
    tab.wait_for_picture()
    return tab


def test_nothing_ticked_is_the_reason_that_nothing_can_be_done(tab):
    assert tab.listed() == [("Patient 0", False), ("Patient 1", False)]
    assert not tab.ui.applyButton.enabled
    assert "Tick at least one scan" in tab.ui.applyButton.toolTip
    tab.tick_all()
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip
    tab.ui.untickAllButton.click()
    assert not tab.ui.applyButton.enabled


def test_ticks_are_saved_with_the_scene_and_survive_an_import(host, tab, tmp_path):
    tab.tick_all()
    host.save_scene(tmp_path / "scene.mrml")
    host.load_scene(tmp_path / "scene.mrml")
    host.process_events()
    assert tab.listed() == [("Patient 0", True), ("Patient 1", True)]


def test_scan_that_is_removed_leaves_the_list(host, tab):
    tab.tick_all()
    host.slicer.mrmlScene.RemoveNode(host.slicer.mrmlScene.GetFirstNodeByName("Patient 0"))
    host.process_events()
    assert tab.listed() == [("Patient 1", True)]
    assert tab.ui.applyButton.enabled


def test_folder_that_is_not_there_is_told(tab, tmp_path):
    tab.choose(tab.ui.sourceCombo, "folder")
    assert (tab.ui.folderFrame.visible, tab.ui.sceneFrame.visible) == (True, False)
    assert "Choose a folder" in tab.ui.applyButton.toolTip
    tab.ui.folderEdit.text = str(tmp_path / "nowhere")
    assert "There is no folder" in tab.ui.applyButton.toolTip
    tab.ui.folderEdit.text = str(tmp_path)
    assert tab.ui.applyButton.enabled


def test_file_that_is_no_manifest_is_told(tab, tmp_path):
    (tmp_path / "notes.txt").write_text("no images")
    tab.choose(tab.ui.sourceCombo, "folder")
    tab.ui.folderEdit.text = str(tmp_path / "notes.txt")
    assert not tab.ui.applyButton.enabled
    assert "neither a folder nor a manifest" in tab.ui.applyButton.toolTip


def test_manifest_is_chosen_in_a_dialog(host, tab, tmp_path):
    (tmp_path / "images.csv").write_text("path\n")
    tab.choose(tab.ui.sourceCombo, "folder")
    host.dialogs.answers.append(str(tmp_path / "images.csv"))
    tab.ui.manifestButton.click()
    assert tab.parameters.pretrainFolder == str(tmp_path / "images.csv")
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip


def test_sentence_goes_with_the_picture_that_it_was_about(picturing, tmp_path):
    picturing.ui.promptEdit.setPlainText("")
    picturing.wait_for_picture()
    assert "tokens" in picturing.ui.overallLabel.text
    picturing.choose(picturing.ui.sourceCombo, "folder")
    assert "Choose a folder" in picturing.ui.previewLabel.text
    assert picturing.ui.overallLabel.text == ""


def test_reason_for_no_picture_is_shown_in_lines(host, tab):
    for seed in range(2):
        scan = host.slicer.mrmlScene.GetFirstNodeByName(f"Patient {seed}")
        host.slicer.util.updateVolumeFromArray(scan, np.full((20, 28, 32), np.nan, np.float32))
    tab.tick_all()
    tab.wait_for_picture()
    assert "Repair the volume first" in tab.ui.previewLabel.text
    assert tab.ui.previewLabel.wordWrap


def test_prompt_is_looked_for_when_it_is_typed_whole(picturing, monkeypatch):
    from MaskWhatMattersLib.bridge import pretrain_preview

    asked = []
    submit = pretrain_preview.Preview.submit
    monkeypatch.setattr(
        pretrain_preview.Preview,
        "submit",
        lambda preview, *, send: (
            asked.append(preview._settings["config"]["region"]["prompts"]) or submit(preview, send=send)
        ),
    )
    for length in range(1, 5):
        picturing.ui.promptEdit.setPlainText("gone"[:length])
        end = time.monotonic() + 0.2
        picturing.host.wait_until(lambda end=end: time.monotonic() > end, 5)
    picturing.wait_for_picture()
    assert asked == [["gone"]]


def test_changed_voxels_and_place_refresh_the_picture_and_an_attribute_does_not(host, picturing):
    preview = picturing.panel.masking.preview
    scan = host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
    scan.SetAttribute("note", "read")
    assert not preview.is_busy
    before = preview.last
    host.slicer.util.updateVolumeFromArray(scan, np.random.default_rng(9).normal(size=(20, 28, 32)))
    assert preview.is_busy
    assert picturing.wait_for_picture().png != before.png
    inner, outer = (host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode") for _ in range(2))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    scan.SetAndObserveTransformNodeID(inner.GetID())
    picturing.wait_for_picture()
    assert not preview.is_busy
    host.slicer.util.updateTransformMatrixFromArray(outer, np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert preview.is_busy
    picturing.wait_for_picture()


def test_folder_is_chosen_in_a_dialog(host, tab, tmp_path):
    tab.choose(tab.ui.sourceCombo, "folder")
    host.dialogs.answers.append(str(tmp_path))
    tab.ui.folderButton.click()
    assert tab.parameters.pretrainFolder == str(tmp_path)


def test_sliders_are_those_that_the_method_and_the_prompts_use(tab):
    ui = tab.ui

    def visible():
        return [ui.insideSlider.visible, ui.outsideSlider.visible, ui.ratioSlider.visible, ui.promptEdit.visible]

    assert visible() == [False, False, True, True]
    ui.promptEdit.setPlainText("left lung")
    assert visible() == [True, True, False, True]
    ui.equalBudgetCheckBox.checked = True
    assert visible() == [True, True, True, True]
    assert ui.ratioLabel.text == "Hidden overall:"
    tab.choose(ui.methodCombo, "simclr")
    assert visible() == [False, False, False, False]
    assert "hides nothing" in ui.overallLabel.text


def test_method_advises_how_much_is_hidden_and_saved_shares_stay(host, tab, tmp_path):
    assert tab.parameters.pretrainRatio == 75
    tab.choose(tab.ui.methodCombo, "spark")
    assert tab.parameters.pretrainRatio == 60
    tab.ui.ratioSlider.value = 33
    host.save_scene(tmp_path / "scene.mrml")
    host.load_scene(tmp_path / "scene.mrml")
    assert tab.parameters.pretrainRatio == 33


def test_shares_that_hide_nothing_or_everything_are_refused(tab):
    tab.tick_all()
    tab.ui.ratioSlider.value = 0
    assert "Nothing would be hidden" in tab.ui.applyButton.toolTip
    tab.ui.ratioSlider.value = 100
    assert "Everything would be hidden" in tab.ui.applyButton.toolTip
    tab.ui.promptEdit.setPlainText("left lung")
    assert tab.ui.applyButton.enabled, tab.ui.applyButton.toolTip


def test_name_that_cannot_be_used_is_told(tab):
    tab.tick_all()
    tab.ui.nameEdit.text = "my/model"
    assert "cannot be the name" in tab.ui.applyButton.toolTip


def test_localizer_for_research_must_be_acknowledged_first(tab):
    from MaskWhatMattersLib.bridge.acknowledgement import acknowledge

    acknowledge("probe-research", False)
    tab.tick_all()
    tab.choose(tab.ui.localizerCombo, "probe-research")
    assert tab.ui.applyButton.enabled  # nothing is looked for
    tab.ui.promptEdit.setPlainText("ball")
    assert "research only" in tab.ui.applyButton.toolTip


def test_picture_shows_what_is_hidden_and_follows_the_sliders(picturing):
    tab = picturing
    first = tab.panel.masking.preview.last
    assert (first.inside, first.outside) == (pytest.approx(0.6, abs=0.1), pytest.approx(0.2, abs=0.1))
    assert tab.ui.overallLabel.text == first.message
    assert tab.ui.previewLabel.pixmap.height() > 50
    tab.ui.insideSlider.value = 100
    assert tab.wait_for_picture().inside == 1
    tab.ui.promptEdit.setPlainText("")
    tab.ui.ratioSlider.value = 50
    assert tab.wait_for_picture().ratio == pytest.approx(0.5, abs=0.05)


def test_moving_slider_never_waits_and_its_last_place_wins(host, picturing):
    tab, longest = picturing, 0.0
    for value in range(10, 90, 2):
        tab.ui.insideSlider.value = value
        started = time.monotonic()
        host.process_events()
        longest = max(longest, time.monotonic() - started)
    last = tab.wait_for_picture()
    assert last.inside * last.relevant_tokens == round(0.88 * last.relevant_tokens)
    assert longest < 0.5


def test_other_slice_is_shown_on_demand(picturing):
    before = picturing.panel.masking.preview.last
    picturing.ui.sliceSlider.value = 5
    after = picturing.wait_for_picture()
    assert after.position < before.position
    assert picturing.ui.sliceSlider.value == round(100 * after.position)


def test_prompt_that_is_not_there_is_told(picturing):
    picturing.ui.promptEdit.setPlainText("gone")
    picturing.wait_for_picture()
    assert "No region" in picturing.ui.overallLabel.text


def test_prompt_that_fails_is_told_in_place_of_the_picture(picturing):
    picturing.ui.promptEdit.setPlainText("wrong")
    assert picturing.wait_for_picture() is None
    assert "upside down" in picturing.ui.previewLabel.text
    assert picturing.ui.applyButton.enabled


def test_new_worker_gets_the_image_again(picturing):
    from MaskWhatMattersLib.bridge.jobs import close_runners

    close_runners()
    picturing.ui.insideSlider.value = 100
    assert picturing.wait_for_picture().inside == 1


def test_changed_voxels_are_shown(host, picturing):
    before = picturing.panel.masking.preview.last.png
    scan = host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
    host.slicer.util.updateVolumeFromArray(scan, np.random.default_rng(9).normal(size=(20, 28, 32)))
    host.slicer.util.updateVolumeFromArray(
        host.slicer.mrmlScene.GetFirstNodeByName("Patient 1"), np.random.default_rng(9).normal(size=(20, 28, 32))
    )
    picturing.ui.insideSlider.value = 61
    assert picturing.wait_for_picture().png != before


def test_first_picture_of_a_folder_is_shown(tab, tmp_path):
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 48)).astype(np.uint8)).save(tmp_path / "a.png")
    tab.choose(tab.ui.dimsCombo, 2)
    tab.choose(tab.ui.sourceCombo, "folder")
    tab.panel.config = {}
    tab.ui.folderEdit.text = str(tmp_path)
    assert tab.wait_for_picture().tokens > 0


def test_other_tab_stops_the_picture(host, picturing):
    picturing.widget.ui.tabs.setCurrentIndex(0)
    host.process_events()
    assert picturing.panel.masking.preview.last is None
    picturing.widget.ui.tabs.setCurrentIndex(1)
    assert picturing.wait_for_picture() is not None


def test_closed_scene_leaves_an_empty_tab_and_no_picture(host, picturing):
    host.close_scene()
    assert picturing.listed() == []
    assert picturing.panel.masking.preview.last is None
    assert picturing.ui.promptEdit.toPlainText() == ""


def test_reloaded_module_shows_the_tab_again(host, picturing):
    widget = host.reload_module("MaskWhatMatters")
    again = PretrainTab(host, widget)
    assert [ticked for _name, ticked in again.listed()] == [True, True]
    assert again.wait_for_picture() is not None


def test_console_gives_the_picture(picturing):
    from MaskWhatMattersLib.errors import InputError

    scan = picturing.host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
    preview = picturing.widget.logic.previewMask(scan, "ball", inside=1.0, outside=0.0, localizer="probe")
    assert (preview.inside, preview.outside) == (1, 0)
    assert preview.png.startswith(b"\x89PNG")
    with pytest.raises(InputError, match="Nothing would be hidden"):
        picturing.widget.logic.previewMask(scan, ratio=0)


def test_estimate_is_measured_before_anything_starts(tab):
    tab.tick_all()
    tab.panel.estimate.is_eager = True
    tab.panel.refresh()
    tab.ui.minutesSpinBox.value = 5
    tab.host.wait_until(lambda: "GB" in tab.ui.estimateLabel.text or "No estimate" in tab.ui.estimateLabel.text, 60)
    assert tab.ui.estimateLabel.text.startswith("Estimate: about ")
    tab.choose(tab.ui.methodCombo, "simmim")
    assert "about" not in tab.ui.estimateLabel.text  # made for other settings


def test_leaving_the_tab_ends_the_worker_that_estimates(host, tab):
    from MaskWhatMattersLib.bridge import jobs

    tab.tick_all()
    tab.ui.estimateButton.click()
    runner = jobs.estimate_runner()
    host.wait_until(lambda: runner.worker_pid is not None, 60)
    tab.widget.ui.tabs.setCurrentIndex(0)
    assert ("estimate",) not in jobs._runners
    host.wait_until(lambda: runner.worker_pid is None, 60)


def stop(tab, run) -> None:
    run.cancel()
    tab.host.wait_until(lambda: run.done, 60)


@pytest.fixture
def other_training(tab):
    """A training from the console, that another one has to wait for."""
    scan = tab.host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
    run = tab.widget.logic.pretrain([scan], wait=False, config={**TINY, "steps": 100_000})
    tab.host.wait_until(lambda: run.steps > 0, 60)
    yield run
    stop(tab, run)


def test_no_step_is_measured_beside_a_training_of_any_tab(tab, other_training):
    tab.tick_all()
    tab.ui.estimateButton.click()
    assert "while a training runs" in tab.ui.estimateLabel.text
    assert not tab.panel.estimate.is_measuring
    stop(tab, other_training)
    tab.ui.estimateButton.click()
    assert tab.panel.estimate.is_measuring


def test_training_that_waits_for_another_one_says_so(tab, other_training):
    tab.tick_all()
    tab.train(steps=2)
    tab.host.wait_until(lambda: "Waiting for another training" in tab.ui.stageLabel.text, 30)
    stop(tab, other_training)
    tab.wait()
    assert tab.state == "done", tab.ui.failureLabel.text
