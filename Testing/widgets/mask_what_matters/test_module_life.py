"""The module's life: console, scene saved and loaded, reload, second window, and what it imports."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def logic(host, scan, probe_localizer):
    host.load_module("MaskWhatMatters")
    import MaskWhatMatters

    return MaskWhatMatters.MaskWhatMattersLogic()


def test_console_call_returns_the_nodes_it_made(logic, scan):
    overlay, segmentation = logic.showRelevance(scan, ["ball"], localizer="probe")
    assert (overlay.GetName(), segmentation.GetName()) == ("ball relevance", "ball")


def test_console_call_takes_a_threshold(logic, scan):
    import slicer

    overlay, segmentation = logic.showRelevance(scan, "ball", localizer="probe", threshold=0.7)
    count = int((slicer.util.arrayFromVolume(overlay) >= 0.7).sum())
    segment_id = segmentation.GetSegmentation().GetNthSegmentID(0)
    assert int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, scan).sum()) == count


def test_console_call_that_does_not_wait_can_be_cancelled(host, logic, scan):
    run = logic.showRelevance(scan, "slow", localizer="probe", wait=False)
    assert not run.done
    run.cancel()
    host.wait_until(lambda: run.done)
    assert (run.state, run.nodes) == ("cancelled", [])


def test_result_that_arrives_when_the_scene_is_closed_is_dropped(host, logic, scan):
    run = logic.showRelevance(scan, "ball", localizer="probe", wait=False)
    while not run._monitor.job.done():  # no events are processed, so nobody has taken the result yet
        time.sleep(0.01)
    host.close_scene()
    host.wait_until(lambda: run.done)
    assert (run.state, run.nodes) == ("cancelled", [])


def test_console_call_raises_what_went_wrong(logic, scan):
    from MaskWhatMattersLib.errors import InputError, JobError

    with pytest.raises(InputError, match="no prompt"):
        logic.showRelevance(scan, "  \n", localizer="probe")
    with pytest.raises(JobError, match="upside down"):
        logic.showRelevance(scan, "wrong", localizer="probe")


def test_console_call_to_a_scheduler_needs_consent(logic, scan):
    from MaskWhatMattersLib.errors import ConsentRequiredError

    with pytest.raises(ConsentRequiredError, match="consent=True"):
        logic.showRelevance(scan, "ball", localizer="probe", scheduler="tcp://192.0.2.1:8786")


def test_self_test_passes(host, probe_localizer, user_models):
    host.load_module("MaskWhatMatters")
    import MaskWhatMatters

    MaskWhatMatters.MaskWhatMattersTest().runTest()


def test_self_test_says_why_it_is_skipped_where_packages_are_missing(host, probe_localizer, monkeypatch):
    host.installations.pretend_missing.add("pydantic")
    host.load_module("MaskWhatMatters")
    import MaskWhatMatters

    told = []
    monkeypatch.setattr(MaskWhatMatters.MaskWhatMattersTest, "delayDisplay", lambda self, text: told.append(text))
    MaskWhatMatters.MaskWhatMattersTest().runTest()
    assert set(told) == {"Skipped: packages are not installed: pydantic"}


def test_any_localizer_that_needs_a_region_gets_it(host, logic, scan, monkeypatch):
    from dataclasses import replace

    from MaskWhatMattersLib.bridge import relevance_run
    from MaskWhatMattersLib.errors import InputError
    from MaskWhatMattersLib.relevance.registry import localizer_info

    monkeypatch.setattr(relevance_run, "localizer_info", lambda name: replace(localizer_info(name), needs_roi=True))
    with pytest.raises(InputError, match="region"):
        logic.showRelevance(scan, "ball", localizer="probe")


def test_panel_comes_back_with_the_scene(host, panel, tmp_path):
    panel.find("ball", "gone")
    panel.ui.thresholdSlider.value = 0.8
    host.wait_until(lambda: panel.mask().sum() == panel.expected(0.8).sum())
    before = panel.table()
    host.save_scene(tmp_path / "scene.mrb")
    host.load_scene(tmp_path / "scene.mrb")
    assert panel.ui.promptEdit.toPlainText() == "ball\ngone"
    assert panel.ui.localizerCombo.itemData(panel.ui.localizerCombo.currentIndex) == "probe"
    assert panel.table() == before
    assert panel.ui.thresholdSlider.value == pytest.approx(0.8)
    panel.ui.thresholdSlider.value = 0.6
    host.wait_until(lambda: panel.mask().sum() == panel.expected(0.6).sum())
    assert len(panel.nodes()) == 1


def test_two_rows_keep_their_thresholds_with_the_scene(host, panel, tmp_path):
    panel.find("ball", "ball two")
    panel.ui.resultTable.setCurrentCell(1, 0)
    panel.ui.thresholdSlider.value = 0.8
    host.wait_until(lambda: panel.mask(1).sum() == panel.expected(0.8).sum())
    host.save_scene(tmp_path / "scene.mrb")
    before = panel.table()
    host.load_scene(tmp_path / "scene.mrb")
    process_events_for(host, 0.2)
    assert panel.table() == before
    assert panel.mask(0).sum() == panel.expected(0.5).sum()
    assert panel.mask(1).sum() == panel.expected(0.8).sum()


def process_events_for(host, seconds):
    """Let every timer of the panel fire."""
    end = time.monotonic() + seconds
    host.wait_until(lambda: time.monotonic() > end)


def test_widgets_are_bound_once_however_often_the_panel_changes_its_parameters(panel):
    parameters = panel.widget.logic.getParameterNode()
    for _ in range(3):
        panel.widget.panel.set_parameters(None)
        panel.widget.panel.set_parameters(parameters)
    assert len(parameters._bindings) == len(panel.widget.panels)


def test_closed_scene_leaves_an_empty_panel(host, panel):
    panel.find("ball")
    host.close_scene()
    assert panel.table() == []
    assert not panel.ui.resultButton.visible
    assert panel.ui.promptEdit.toPlainText() == ""


def test_reload_keeps_the_parameters_and_works(host, panel):
    panel.type("ball")
    widget = host.reload_module("MaskWhatMatters")
    assert widget is not panel.widget
    assert widget.ui.promptEdit.toPlainText() == "ball"
    widget.ui.applyButton.click()
    host.wait_until(lambda: widget.panel.job.state == "done", 60)


def test_reload_while_a_job_runs_cancels_it(host, panel):
    panel.type("slow")
    panel.click()
    run = panel.widget.panel.run
    host.reload_module("MaskWhatMatters")
    host.wait_until(lambda: run.done, 15)
    assert run.state == "cancelled"


def test_second_window_shows_the_same_and_either_can_work(host, panel):
    second = host.second_window("MaskWhatMatters")
    panel.find("ball")
    assert second.ui.promptEdit.toPlainText() == "ball"
    assert second.ui.resultTable.rowCount == 1
    second.ui.promptEdit.setPlainText("ball\nother")
    second.ui.applyButton.click()
    host.wait_until(lambda: second.panel.job.state == "done", 60)
    assert panel.ui.resultTable.rowCount == 2
    second.cleanup()
    second.parent.hide()
    panel.find("third")
    assert panel.state == "done"


def test_leaving_and_entering_keeps_the_panel(host, panel):
    panel.find("ball")
    host.leave_module("MaskWhatMatters")
    host.open_module("MaskWhatMatters")
    assert [row[0] for row in panel.table()] == ["ball"]


def test_opening_the_panel_imports_nothing_that_slicer_lacks():
    code = """
import sys
import time
sys.path[:0] = [{library!r}, {testing!r}]
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
from host import start_host
host = start_host()
widget = host.open_module("MaskWhatMatters")
assert widget.ui.setupFixButton.visible, widget.ui.setupLabel.text
assert "pydantic" in widget.ui.setupLabel.text
host.check_nothing_escaped()
"""
    blocked = ("torch", "monai", "transformers", "distributed", "dask", "pydantic", "nibabel", "safetensors", "scipy")
    code = code.format(
        library=str(REPOSITORY / "MaskWhatMatters"), testing=str(REPOSITORY / "Testing"), blocked=blocked
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def test_pictures_of_the_panel_and_of_the_overlay(host, panel, screenshots):
    host.wait_until(lambda: "Ready on" in panel.ui.setupLabel.text)
    host.screenshot(panel.widget, screenshots / "panel_idle.png")
    panel.type("slow")
    panel.click()
    host.wait_until(lambda: "left" in panel.ui.timeLabel.text, 60)
    host.screenshot(panel.widget, screenshots / "panel_running.png")
    panel.ui.applyButton.click()
    panel.wait_for("ready")
    panel.find("wrong")
    host.screenshot(panel.widget, screenshots / "panel_failed.png")
    panel.find("ball", "gone")
    host.screenshot(panel.widget, screenshots / "panel_done.png")
    panel.ui.advancedButton.collapsed = False
    panel.ui.computeCombo.setCurrentIndex(1)
    panel.ui.schedulerEdit.text = "tls://gpu-server:8786"
    panel.ui.setupCheckButton.click()
    host.wait_until(lambda: "numpy" in panel.ui.setupReportText.toPlainText())
    host.screenshot(panel.widget, screenshots / "panel_everything_open.png")
    panel.ui.opacitySlider.value = 0.0
    plain = host.render_slice(path=screenshots / "slice_without_overlay.png")
    panel.ui.opacitySlider.value = 0.6
    colored = host.render_slice(path=screenshots / "slice_with_overlay.png")
    difference = np.abs(colored.astype(int) - plain.astype(int)).max(-1)
    assert (difference > 30).mean() > 0.02
    assert (difference[:20, :20] == 0).all()
