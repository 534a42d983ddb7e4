"""The module's life: console, scene saved and loaded, reload, second window, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def logic(host, heart, probe_job):
    host.load_module("CornSegmentation")
    import CornSegmentation

    return CornSegmentation.CornSegmentationLogic()


def test_module_opens_with_both_tabs_and_the_shown_volume(corn_widget, heart):
    tabs = corn_widget.ui.tabs
    assert [tabs.tabText(index) for index in range(tabs.count)] == ["Segment", "Adapt to my site"]
    assert corn_widget.ui.inputSelector.currentNode() is heart
    assert corn_widget.adaptUi.CornSegmentationAdapt.parent() is not None


def test_console_call_returns_the_nodes_it_made(logic, heart):
    segmentation, overlay = logic.segment(heart, bodySurface=2.0)
    assert (segmentation.GetName(), overlay.GetName()) == ("heart left atrium", "heart disagreement")
    (row,) = logic.measurements()
    assert row.indexed_ml_m2 == pytest.approx(row.volume_ml / 2, abs=1e-3)


def test_console_call_that_does_not_wait_can_be_cancelled(host, logic, heart):
    run = logic.segment(heart, wait=False, model="slow-atrium")
    assert not run.done
    run.cancel()
    host.wait_until(lambda: run.done, 30)
    assert (run.state, run.nodes) == ("cancelled", [])


def test_console_call_with_several_scans_tells_which_failed(host, logic, heart, add_heart, caplog):
    empty = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    nodes = logic.segment([empty, heart])
    assert [node.GetName() for node in nodes] == ["heart left atrium", "heart disagreement"]
    assert "empty got no segmentation" in caplog.text


def test_console_call_raises_what_went_wrong(logic, heart):
    from MaskWhatMattersLib.errors import ConsentRequiredError, InputError, JobError

    with pytest.raises(InputError, match="none selected"):
        logic.segment(None)
    with pytest.raises(InputError, match="empty list"):
        logic.segment([])
    with pytest.raises(InputError, match="field_of_view"):
        logic.segment(heart, fieldOfView="half")
    with pytest.raises(ConsentRequiredError, match="consent=True"):
        logic.segment(heart, scheduler="tcp://192.0.2.1:8786")
    with pytest.raises(JobError, match="upside down"):
        logic.segment(heart, model="wrong")


def test_self_test_passes(host, probe_job):
    host.load_module("CornSegmentation")
    import CornSegmentation

    CornSegmentation.CornSegmentationTest().runTest()


def test_self_test_says_why_it_is_skipped(host, probe_job, monkeypatch):
    host.installations.pretend_missing.add("pydantic")
    host.load_module("CornSegmentation")
    import CornSegmentation

    told = []
    monkeypatch.setattr(CornSegmentation.CornSegmentationTest, "delayDisplay", lambda self, text: told.append(text))
    CornSegmentation.CornSegmentationTest().runTest()
    assert told == ["Skipped: packages are not installed: pydantic"]


def test_panel_comes_back_with_the_scene(host, tab, tmp_path):
    tab.choose(tab.ui.modelCombo, "our-site")
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    tab.ui.bodySurfaceSpinBox.value = 1.9
    before = (tab.ui.volumeLabel.text, tab.ui.indexedLabel.text, tab.ui.agreementLabel.text)
    host.save_scene(tmp_path / "scene.mrb")
    host.load_scene(tmp_path / "scene.mrb")
    assert tab.ui.modelCombo.itemData(tab.ui.modelCombo.currentIndex) == "our-site"
    assert (tab.ui.volumeLabel.text, tab.ui.indexedLabel.text, tab.ui.agreementLabel.text) == before


def test_closed_scene_leaves_an_empty_panel(host, tab):
    tab.apply()
    host.close_scene()
    assert not tab.ui.resultButton.visible
    assert tab.ui.inputSelector.currentNode() is None


@pytest.mark.parametrize("notice", [lambda widget: widget.onReady(), lambda widget: widget.ui.tabs.setCurrentIndex(1)])
def test_model_that_appears_later_is_offered_in_both_tabs(corn_models, corn_widget, notice):
    card = (corn_models / "our-site.json").read_text().replace("our-site", "late")
    (corn_models / "late.json").write_text(card)
    (corn_models / "late.safetensors").touch()
    try:
        notice(corn_widget)
        for combo in (corn_widget.ui.modelCombo, corn_widget.adaptUi.startCombo):
            assert combo.findData("late") >= 0
        assert corn_widget.ui.modelCombo.itemData(corn_widget.ui.modelCombo.currentIndex) == "left-atrium"
    finally:
        for file in corn_models.glob("late.*"):
            file.unlink()


def test_panel_from_before_a_reload_may_still_be_told_to_leave(host, tab):
    old = tab.widget
    host.reload_module("CornSegmentation")
    old.exit()
    old.enter()


def test_reload_while_a_job_runs_cancels_it_and_the_next_works(host, tab):
    tab.be_slow()
    tab.click()
    run = tab.widget.segment.run
    widget = host.reload_module("CornSegmentation")
    host.wait_until(lambda: run.done, 30)
    assert run.state == "cancelled"
    widget.ui.modelCombo.setCurrentIndex(widget.ui.modelCombo.findData("left-atrium"))
    widget.ui.applyButton.click()
    host.wait_until(lambda: widget.segment.job.state == "done", 60)


def test_second_window_shows_the_same(host, tab):
    second = host.second_window("CornSegmentation")
    tab.apply()
    host.wait_until(lambda: second.ui.volumeLabel.text == tab.ui.volumeLabel.text)
    second.cleanup()
    second.parent.hide()


def test_leaving_and_entering_counts_an_edit(host, tab, heart):
    from MaskWhatMattersLib.bridge.nodes import local_affine
    from MaskWhatMattersLib.bridge.segmentations import write_segment

    tab.apply()
    before, painted = tab.ui.volumeLabel.text, tab.mask()
    painted[0] = True
    host.leave_module("CornSegmentation")
    (segmentation,) = tab.nodes()
    write_segment(segmentation, segmentation.GetSegmentation().GetNthSegmentID(0), painted, local_affine(heart))
    assert tab.ui.volumeLabel.text == before
    host.open_module("CornSegmentation")
    assert tab.ui.volumeLabel.text.endswith("(after your edits)")


def test_worker_is_warm_before_the_first_apply(host, tab):
    from MaskWhatMattersLib.bridge.jobs import close_runners, runner_for

    host.wait_until(lambda: runner_for().worker_pid is not None, 60)
    worker = runner_for().worker_pid
    close_runners()
    assert not Path(f"/proc/{worker}").exists()


def test_opening_the_panel_imports_nothing_that_slicer_lacks():
    code = """
import sys
sys.path[:0] = [{library!r}, {testing!r}]
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
from host import start_host
host = start_host()
widget = host.open_module("CornSegmentation")
assert widget.ui.setupFixButton.visible, widget.ui.setupLabel.text
assert "pydantic" in widget.ui.setupLabel.text
assert "missing packages" in widget.ui.applyButton.toolTip
host.check_nothing_escaped()
"""
    blocked = ("torch", "monai", "transformers", "distributed", "dask", "pydantic", "nibabel", "safetensors", "scipy")
    code = code.format(
        library=str(REPOSITORY / "MaskWhatMatters"), testing=str(REPOSITORY / "Testing"), blocked=blocked
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]


def test_pictures_of_the_panel_and_of_the_views(host, tab, add_heart, screenshots):
    host.wait_until(lambda: "Ready on" in tab.ui.setupLabel.text, 120)
    host.screenshot(tab.widget, screenshots / "corn_idle.png")
    tab.be_slow()
    tab.click()
    host.wait_until(lambda: "left" in tab.ui.timeLabel.text, 60)
    host.screenshot(tab.widget, screenshots / "corn_running.png")
    tab.ui.applyButton.click()
    tab.wait_for("ready")
    tab.choose(tab.ui.modelCombo, "wrong")
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    host.screenshot(tab.widget, screenshots / "corn_failed.png")
    tab.choose(tab.ui.modelCombo, "left-atrium")
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    tab.ui.bodySurfaceSpinBox.value = 1.85
    host.screenshot(tab.widget, screenshots / "corn_done.png")
    without = host.render_slice(path=screenshots / "corn_slice.png")
    tab.ui.disagreementCheckBox.click()
    overlaid = host.render_slice(path=screenshots / "corn_slice_disagreement.png")
    assert (abs(overlaid.astype(int) - without.astype(int)).max(-1) > 30).mean() > 0.01
    add_heart("other heart", 2)
    nothing = add_heart("nothing there", 3)
    host.slicer.util.arrayFromVolume(nothing)[:] = 100
    tab.ui.studyCheckBox.checked = True
    tab.apply()
    tab.ui.resultTable.cellClicked.emit(2, 0)
    tab.ui.advancedButton.collapsed = False
    host.screenshot(tab.widget, screenshots / "corn_everything_open.png")
