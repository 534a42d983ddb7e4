"""Trainings from the tab "Adapt to my site" and from the console, with tiny networks on a real worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapt_tab import TINY, AdaptTab


@pytest.fixture
def adapt(host, corn_models) -> AdaptTab:
    """The tab with four labelled scans and one that is not, from scratch."""
    tab = AdaptTab(host, host.open_module("CornSegmentation"))
    for seed in range(4):
        tab.add_pair(seed)
    tab.add_nodes(5)
    tab.from_scratch()
    yield tab
    if tab.panel.run is not None:
        tab.panel.run.cancel()
        tab.wait()


def model_names(combo) -> list[str]:
    return [combo.itemData(index) for index in range(combo.count)]


def temporary_files(host) -> list[Path]:
    return list(Path(host.slicer.app.temporaryPath).glob("training-*"))


def test_training_draws_its_curves_and_its_model_can_be_used(host, adapt, corn_models, screenshots):
    adapt.tick("Patient 5")
    adapt.ui.nameEdit.text = "finished"
    adapt.train(steps=12)
    adapt.wait_for_points(4)
    assert adapt.ui.applyButton.text == "Cancel"
    assert len(adapt.curves()["Training loss"]) >= 2
    adapt.wait()
    assert adapt.state == "done", adapt.ui.failureLabel.text
    np.testing.assert_array_equal(adapt.curves()["Training loss"][:, 0], [2, 4, 6, 8, 10, 12])
    np.testing.assert_array_equal(adapt.curves()["Validation Dice"][:, 0], [4, 8, 12])
    assert "Made <b>finished</b> in 12 steps. Held-out Dice" in adapt.ui.resultLabel.text
    host.screenshot(adapt.widget, screenshots / "adapt-done.png")
    adapt.ui.useModelButton.click()
    assert adapt.widget.logic.getParameterNode().model == "finished"
    assert adapt.widget.ui.tabs.currentIndex == 0
    for combo in (adapt.ui.startCombo, adapt.widget.ui.modelCombo):
        assert "finished" in model_names(combo)
    assert sorted(file.name for file in (corn_models / "finished").glob("model.*")) == [
        "model.json",
        "model.safetensors",
    ]
    assert temporary_files(host) == []


def test_cancel_keeps_the_model_and_its_curves(host, adapt, corn_models):
    adapt.ui.nameEdit.text = "cancelled"
    adapt.train(steps=100_000)
    adapt.wait_for_points(4)
    adapt.ui.applyButton.click()
    assert (adapt.state, adapt.ui.applyButton.enabled) == ("cancelling", False)
    adapt.wait()
    assert (adapt.state, adapt.ui.applyButton.text) == ("ready", "Train")
    assert adapt.ui.logLineLabel.text.startswith("Kept the model after ")
    assert "<b>cancelled</b>" in adapt.ui.resultLabel.text
    assert (corn_models / "cancelled" / "model.safetensors").is_file()
    assert "cancelled" in model_names(adapt.ui.startCombo)
    assert "Training loss" in adapt.plot_nodes()
    assert temporary_files(host) == []


def test_cancel_before_the_first_step_leaves_nothing(host, adapt, corn_models):
    before = adapt.plot_nodes()
    adapt.ui.nameEdit.text = "nothing"
    adapt.train()
    adapt.ui.applyButton.click()
    adapt.wait()
    assert adapt.state == "ready"
    assert adapt.plot_nodes() == before
    assert not (corn_models / "nothing").exists()
    assert temporary_files(host) == []
    assert not adapt.ui.resultFrame.visible


def test_closing_the_scene_stops_the_training_and_keeps_the_model(host, adapt, corn_models):
    adapt.ui.nameEdit.text = "scene-closed"
    adapt.train(steps=100_000)
    adapt.wait_for_points(4)
    host.close_scene()
    adapt.wait()
    assert adapt.plot_nodes() == []
    assert (corn_models / "scene-closed" / "model.safetensors").is_file()
    assert adapt.table() == []


def test_worker_that_dies_is_explained_and_its_last_checkpoint_becomes_the_model(adapt, corn_models):
    from MaskWhatMattersLib.bridge.jobs import training_runner

    adapt.ui.nameEdit.text = "dead-worker"
    adapt.train(steps=100_000, save_every=2)
    adapt.wait_for_points(6)
    os.kill(training_runner().worker_pid, signal.SIGKILL)
    adapt.wait()
    assert adapt.state == "failed"
    assert "SIGKILL" in adapt.ui.failureLabel.text
    assert "Kept <b>dead-worker</b> after" in adapt.ui.resultLabel.text
    assert (corn_models / "dead-worker" / "model.safetensors").is_file()


def test_settings_that_are_not_valid_fail_in_words_and_leave_nothing(adapt, corn_models):
    adapt.ui.nameEdit.text = "misspelt"
    adapt.train(learning_rat=0.1)
    adapt.wait()
    assert adapt.state == "failed"
    assert "learning_rat" in adapt.ui.failureLabel.text
    assert not (corn_models / "misspelt").exists()


def test_large_plot_comes_on_demand_and_gives_the_layout_back(host, adapt):
    layouts = host.slicer.app.layoutManager()
    before = layouts.layout
    adapt.train(steps=4)
    adapt.wait()
    assert layouts.layout == before
    adapt.ui.showPlotButton.click()
    assert layouts.layout != before
    adapt.ui.showPlotButton.click()
    assert layouts.layout == before


def test_console_adapts_a_model_on_files_and_gives_its_name(host, corn_models, tmp_path):
    from corn_phantoms import save_tiny_atrium_model, write_atrium_folder

    save_tiny_atrium_model(corn_models, "elsewhere")
    folder = write_atrium_folder(tmp_path, 2)
    pairs = [(folder / "images" / f"scan{n}.nii.gz", folder / "labels" / f"scan{n}.nii.gz") for n in range(2)]
    logic = host.open_module("CornSegmentation").logic
    settings = {name: value for name, value in TINY.items() if name not in ("network", "preprocessing")}
    name = logic.adapt(pairs[:1], [pairs[1][0]], startModel="elsewhere", minutes=1, config={**settings, "steps": 4})
    assert name.startswith("elsewhere-site-")
    assert (corn_models / name / "model.safetensors").is_file()


def test_console_refuses_what_cannot_be_trained_with(host, corn_models, tmp_path):
    from MaskWhatMattersLib.errors import InputError

    logic = host.open_module("CornSegmentation").logic
    with pytest.raises(InputError, match="no labelled scan"):
        logic.adapt([])
    with pytest.raises(InputError, match="does not exist"):
        logic.adapt([(tmp_path / "a.nii", tmp_path / "b.nii")])


def test_slicer_asks_for_a_training_and_reads_its_result_without_torch():
    modules = "jobs.corn_train_job", "corn.training_result", "datasets.cases", "training.points"
    imports = "; ".join(f"import MaskWhatMattersLib.{module}" for module in modules)
    code = f"{imports}; import sys; print({{'torch', 'lightning_fabric', 'monai'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
