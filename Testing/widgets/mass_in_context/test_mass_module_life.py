"""The module's life: console, scene saved and loaded, reload, second window, the network itself, what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[3]


def test_module_opens_with_both_tabs(mass_widget):
    tabs = mass_widget.ui.tabs
    assert [tabs.tabText(index) for index in range(tabs.count)] == ["Apply example", "Tune on my cases"]


def test_console_call_returns_the_segmentations(logic, example, target):
    (made,) = logic.applyExample(*example, [target], ["Liver"])
    assert made.GetName() == "target by example"
    (row,) = logic.results()
    assert (row.target, row.segment, row.volume_node) == ("target", "Liver", target)


def test_console_call_that_does_not_wait_can_be_cancelled(host, logic, example, target):
    run = logic.applyExample(*example, target, wait=False, model="slow")
    host.wait_until(lambda: run.task is not None, 30)
    run.cancel()
    host.wait_until(lambda: run.done, 30)
    assert (run.state, run.nodes) == ("cancelled", [])


def test_console_refuses_what_cannot_work(logic, example, target, tmp_path):
    from MaskWhatMattersLib.errors import ConsentRequiredError, InputError

    scan, marks = example
    with pytest.raises(InputError, match="found 1 volumes and 0 segmentations"):
        logic.applyExample(scan, None, [target])
    with pytest.raises(InputError, match="is the example itself"):
        logic.applyExample(scan, marks, [target, scan])
    with pytest.raises(InputError, match="none selected"):
        logic.applyExample(scan, marks, None)
    with pytest.raises(InputError, match='no way "merge"'):
        logic.applyExample(scan, marks, target, existing="merge")
    with pytest.raises(InputError, match="threshold"):
        logic.applyExample(scan, marks, target, settings={"threshold": 2})
    with pytest.raises(InputError, match="no folder for the results"):
        logic.applyExample(scan, marks, tmp_path)
    with pytest.raises(InputError, match="no task yet"):
        logic.saveTask(tmp_path / "x")
    with pytest.raises(ConsentRequiredError, match="consent=True"):
        logic.applyExample(scan, marks, target, scheduler="tcp://127.0.0.1:9")


def test_task_of_the_last_example_is_saved_and_loaded(logic, example, target, tmp_path):
    logic.applyExample(*example, [])
    path = logic.saveTask(tmp_path / "organs")
    logic.task = None
    task = logic.loadTask(path)
    assert [label.name for label in task.labels] == ["Liver", "Spleen"]
    assert len(logic.applyExample(None, None, target, task=task)) == 1
    assert len(logic.applyExample(None, None, target, ["spleen"], task=str(path))) == 1


def test_choice_and_results_survive_saving_and_loading_the_scene(host, tab, target, add_marks, tmp_path):
    tab.tick(tab.ui.segmentList, "Spleen", False)
    tab.apply()
    before = tab.table()
    host.save_scene(tmp_path / "scene.mrb")
    host.load_scene(tmp_path / "scene.mrb")
    tab.settle()
    assert tab.table() == before
    assert tab.ticks(tab.ui.segmentList) == {"Liver": True, "Spleen": False}
    assert tab.ticks(tab.ui.targetList) == {"target": True}
    assert tab.ui.applyButton.enabled, tab.tip


def test_new_segments_and_volumes_appear_while_the_panel_is_open(host, tab, example, add_scan):
    add_scan("new")
    host.wait_until(lambda: "new" in tab.ticks(tab.ui.targetList))
    example[1].GetSegmentation().GetNthSegment(0).SetName("Bowel")
    example[1].Modified()
    host.wait_until(lambda: "Bowel" in tab.ticks(tab.ui.segmentList))


def test_reload_keeps_the_choice(host, tab):
    tab.tick(tab.ui.segmentList, "Liver", False)
    widget = host.reload_module("MassInContext")
    widget.enter()
    assert widget.apply.example.wanted == ["Spleen"]


def test_second_window_follows_the_first(host, tab):
    second = host.second_window("MassInContext")
    tab.tick(tab.ui.segmentList, "Liver", False)
    assert second.apply.example.wanted == ["Spleen"]
    second.cleanup()


def test_leaving_and_coming_back_shows_what_changed_meanwhile(host, tab, target):
    tab.apply()
    host.leave_module("MassInContext")
    host.slicer.mrmlScene.RemoveNode(tab.nodes()[-1])
    host.open_module("MassInContext")
    assert not tab.ui.resultButton.visible


def test_importing_the_module_file_loads_nothing_heavy():
    code = (
        "import sys; sys.path[:0] = ['Testing', 'MaskWhatMatters', 'MassInContext']\n"
        "from host import start_host; start_host(); import MassInContext\n"
        "heavy = {'torch', 'monai', 'transformers', 'pydantic', 'lightning', 'distributed', 'nibabel'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


def test_network_finds_what_is_marked(host, mass_models, example, target, tmp_path):
    """The real jobs, with a network that finds bright voxels."""
    from bright_mass import bright_mass

    host.load_module("MassInContext")
    import MassInContext

    logic = MassInContext.MassInContextLogic()
    scan, marks = example
    (made,) = logic.applyExample(scan, marks, [target], ["Liver"], model=str(bright_mass(tmp_path)), device="cpu")
    segment_id = made.GetSegmentation().GetNthSegmentID(0)
    found = host.slicer.util.arrayFromSegmentBinaryLabelmap(made, segment_id, target) > 0
    bright = host.slicer.util.arrayFromVolume(target) > 500
    dice = 2 * (found & bright).sum() / (found.sum() + bright.sum())
    assert dice > 0.5
    assert np.isfinite(logic.results()[0].quality)
