"""Finetunings from the tab and from the console, with tiny networks on a real worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from finetune_tab import RECIPE, TINY, FinetuneTab, save_tiny_encoder


@pytest.fixture
def tab(host, user_models) -> FinetuneTab:
    """The tab with four labelled scans, from scratch."""
    tab = FinetuneTab(host, host.open_module("MaskWhatMatters"))
    for seed in range(4):
        tab.add_pair(seed, "left atrium", "corner")
    tab.panel.start.look()
    tab.choose(tab.ui.startCombo, "")
    yield tab
    if tab.panel is not None and tab.panel.run is not None:
        tab.panel.run.cancel()
        tab.wait()


def temporary_files(host) -> list[Path]:
    return list(Path(host.slicer.app.temporaryPath).glob("training-*"))


def write_pictures(folder: Path, count: int = 4) -> Path:
    """Pictures in a folder per class: a bright square, or none."""
    from PIL import Image

    random = np.random.default_rng(0)
    for name in ("empty", "square"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            array = random.integers(0, 60, (32, 32)).astype(np.uint8)
            array[8:24, 8:24] += 150 * (name == "square")
            Image.fromarray(array).save(folder / name / f"{name}{number}.png")
    return folder


def test_training_draws_its_curves_and_its_model_answers_in_the_tab_relevance(host, tab, user_models, screenshots):
    tab.ui.nameEdit.text = "finished"
    tab.train(steps=12)
    tab.wait_for_points(4)
    assert tab.ui.applyButton.text == "Stop and keep the model"
    tab.wait()
    assert tab.state == "done", tab.ui.failureLabel.text
    np.testing.assert_array_equal(tab.curves()["Training loss"][:, 0], [2, 4, 6, 8, 10, 12])
    np.testing.assert_array_equal(tab.curves()["Validation Dice"][:, 0], [4, 8, 12])
    assert "Made <b>finished</b> in 12 steps. Held out: Dice 0." in tab.ui.resultLabel.text
    assert "Dice left atrium 0." in tab.ui.resultLabel.text
    host.screenshot(tab.widget, screenshots / "finetune-done.png")
    assert "finished" in tab.offered()
    assert sorted(file.name for file in (user_models / "finished").glob("model.*")) == [
        "model.json",
        "model.safetensors",
    ]
    assert temporary_files(host) == []
    tab.ui.useModelButton.click()
    ui = tab.widget.ui
    assert (ui.tabs.currentIndex, ui.promptEdit.toPlainText()) == (0, "left atrium\ncorner")
    ui.applyButton.click()
    host.wait_until(lambda: not tab.widget.panel.job.is_busy, 120)
    assert tab.widget.panel.job.state == "done", ui.failureLabel.text
    assert ui.resultTable.rowCount == 2


def test_training_starts_from_a_pretrained_encoder(tab, user_models):
    save_tiny_encoder(user_models, "mae-ct")
    tab.panel.use_model("mae-ct")
    tab.train(steps=4)
    tab.wait()
    assert tab.state == "done", tab.ui.failureLabel.text
    assert "<b>mae-ct-segmentation-" in tab.ui.resultLabel.text
    assert "mae-ct" in tab.ui.logText.toPlainText()


def test_cancel_keeps_the_model_and_its_curves(host, tab, user_models):
    tab.ui.nameEdit.text = "cancelled"
    tab.train(steps=100_000)
    tab.wait_for_points(4)
    tab.ui.applyButton.click()
    assert (tab.state, tab.ui.applyButton.enabled) == ("cancelling", False)
    tab.wait()
    assert (tab.state, tab.ui.applyButton.text) == ("ready", "Finetune")
    assert tab.ui.logLineLabel.text.startswith("Kept the model after ")
    assert "<b>cancelled</b>" in tab.ui.resultLabel.text
    assert (user_models / "cancelled" / "model.safetensors").is_file()
    assert "Training loss" in tab.plot_nodes()
    assert temporary_files(host) == []


def test_cancel_before_the_first_step_leaves_nothing(host, tab, user_models):
    before = tab.plot_nodes()
    tab.ui.nameEdit.text = "nothing"
    tab.train()
    tab.ui.applyButton.click()
    tab.wait()
    assert tab.state == "ready"
    assert tab.plot_nodes() == before
    assert not (user_models / "nothing").exists()
    assert temporary_files(host) == []
    assert not tab.ui.resultFrame.visible


def test_closing_the_scene_stops_the_training_and_keeps_the_model(host, tab, user_models):
    tab.ui.nameEdit.text = "scene-closed"
    tab.train(steps=100_000)
    tab.wait_for_points(4)
    host.close_scene()
    tab.wait()
    assert tab.plot_nodes() == []
    assert (user_models / "scene-closed" / "model.safetensors").is_file()
    assert tab.table() == []


def test_closing_the_module_stops_the_training(host, tab):
    tab.train(steps=100_000)
    tab.wait_for_points(2)
    run = tab.panel.run
    host.close_module("MaskWhatMatters")
    host.wait_until(lambda: run.done, 60)
    assert run.state == "cancelled"
    assert temporary_files(host) == []


def test_worker_that_dies_is_explained_and_its_last_checkpoint_becomes_the_model(tab, user_models):
    from MaskWhatMattersLib.bridge.jobs import training_runner

    tab.ui.nameEdit.text = "dead-worker"
    tab.train(steps=100_000, save_every=2)
    tab.wait_for_points(6)
    os.kill(training_runner().worker_pid, signal.SIGKILL)
    tab.wait()
    assert tab.state == "failed"
    assert "SIGKILL" in tab.ui.failureLabel.text
    assert "Kept <b>dead-worker</b> after" in tab.ui.resultLabel.text
    assert (user_models / "dead-worker" / "model.safetensors").is_file()
    assert not (user_models / "dead-worker" / "checkpoint.ckpt").exists()


def test_settings_that_are_not_valid_fail_in_words_and_leave_nothing(tab, user_models):
    tab.ui.nameEdit.text = "misspelt"
    tab.train(learning_rat=0.1)
    tab.wait()
    assert tab.state == "failed"
    assert "learning_rat" in tab.ui.failureLabel.text
    assert not (user_models / "misspelt").exists()


def test_estimate_is_shown_and_forgotten_with_the_settings(host, tab):
    tab.panel.config = {**TINY, "steps": 50}
    tab.panel.refresh()
    tab.ui.estimateButton.click()
    assert "measuring one step" in tab.ui.estimateLabel.text
    host.wait_until(lambda: not tab.panel.estimate.is_measuring, 120)
    assert tab.ui.estimateLabel.text.startswith("Estimate: about ")
    tab.choose(tab.ui.presetCombo, "paper")
    assert tab.ui.estimateLabel.text == ""


def test_estimate_that_fails_says_why(host, tab):
    tab.panel.config = {"learning_rat": 1}
    tab.ui.estimateButton.click()
    host.wait_until(lambda: not tab.panel.estimate.is_measuring, 120)
    assert "No estimate" in tab.ui.estimateLabel.text
    assert "learning_rat" in tab.ui.estimateLabel.text


def test_fast_preset_is_measured_unasked_and_a_change_starts_anew(host, tab):
    tab.panel.estimate.is_eager = True
    tab.panel.config = {**TINY, "steps": 50}
    tab.panel.refresh()
    host.wait_until(lambda: tab.panel.estimate.is_measuring, 10)
    tab.ui.minutesSpinBox.value = 3
    assert not tab.panel.estimate.is_measuring
    host.wait_until(lambda: tab.ui.estimateLabel.text.startswith("Estimate: about"), 120)


def test_estimate_waits_until_the_tab_is_on_screen(host, tab):
    tab.panel.config = {**TINY, "steps": 50}
    tab.widget.ui.tabs.setCurrentIndex(0)
    tab.panel.estimate.is_eager = True
    tab.ui.minutesSpinBox.value = 7
    ended = time.monotonic() + 2.5  # longer than the line waits for another change
    host.wait_until(lambda: time.monotonic() > ended, 10)
    assert not tab.panel.estimate.is_measuring
    tab.widget.ui.tabs.setCurrentIndex(2)
    host.wait_until(lambda: tab.panel.estimate.is_measuring, 10)
    tab.widget.ui.tabs.setCurrentIndex(0)
    assert not tab.panel.estimate.is_measuring
    assert tab.ui.estimateLabel.text == ""


def test_console_finetunes_a_classifier_on_a_folder_of_pictures(host, user_models, tmp_path):
    logic = host.open_module("MaskWhatMatters").logic
    save_tiny_encoder(user_models, "pictures-small", spatial_dims=2)
    settings = {**RECIPE, "preprocessing": {"spatial_dims": 2, "longest_side": 32}, "size": [16, 16], "steps": 4}
    run = logic.finetune(
        write_pictures(tmp_path), "pictures-small", "classification", wait=False, validation=0.5, config=settings
    )
    assert run.result().startswith("pictures-small-classification-")
    assert set(run.scores) == {"accuracy", "auroc", "auprc", "f1"}
    assert (user_models / run.name / "model.safetensors").is_file()


def test_console_finetunes_on_files_and_estimates(host, user_models, tmp_path):
    from corn_phantoms import write_atrium_folder

    folder = write_atrium_folder(tmp_path, 3)
    pairs = [(folder / "images" / f"scan{n}.nii.gz", folder / "labels" / f"scan{n}.nii.gz") for n in range(3)]
    logic = host.open_module("MaskWhatMatters").logic
    assert logic.finetune(pairs, name="from-files", config={**TINY, "steps": 4}) == "from-files"
    estimate = logic.estimateFinetune(config={**TINY, "steps": 100})
    assert estimate.steps == 100
    assert estimate.total_s == pytest.approx(100 * estimate.step_s)


def test_console_refuses_what_cannot_be_trained_with(host, user_models, tmp_path):
    from MaskWhatMattersLib.errors import InputError

    logic = host.open_module("MaskWhatMatters").logic
    with pytest.raises(InputError, match="no labelled scan"):
        logic.finetune([])
    with pytest.raises(InputError, match="does not exist"):
        logic.finetune([(tmp_path / "a.nii", tmp_path / "b.nii")])
    with pytest.raises(InputError, match="give a folder"):
        logic.finetune([(tmp_path / "a.nii", tmp_path / "b.nii")], task="detection")
    with pytest.raises(InputError, match='no task "guessing"'):
        logic.finetune(tmp_path, task="guessing")
    with pytest.raises(InputError, match="more than 0 minutes"):
        logic.finetune(tmp_path, minutes=0)


def test_scheduler_gets_voxels_and_start_model_and_the_model_comes_back(host, tab, user_models, tmp_path, monkeypatch):
    from distributed import LocalCluster

    start = save_tiny_encoder(tmp_path, "only-here")
    monkeypatch.chdir(tmp_path)  # the worker's runs lie below the folder that it was started in
    pairs = [(tab.node(f"Patient {seed}"), tab.node(f"Heart {seed}")) for seed in range(3)]
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        run = tab.widget.logic.finetune(
            pairs,
            str(start),
            wait=False,
            name="came-back",
            config={**RECIPE, "steps": 4},
            scheduler=cluster.scheduler_address,
            consent=True,
        )
        start.unlink()  # the worker could not read it on another computer either
        assert run.result() == "came-back"
    assert (user_models / "came-back" / "model.safetensors").is_file()
    assert not list((tmp_path / "whatmatters-runs").rglob("*"))


def test_worker_elsewhere_learns_no_name(host, tab, tmp_path):
    from MaskWhatMattersLib.bridge.training_run import RunOrigin
    from probe_training import KeptRunner, texts_in

    pairs = [(tab.node(f"Patient {seed}"), tab.node(f"Heart {seed}")) for seed in range(3)]
    runner = KeptRunner()
    from MaskWhatMattersLib.bridge import finetune_start
    from MaskWhatMattersLib.bridge.finetune_run import FinetuneRun

    scans = finetune_start._scans(pairs, "segmentation", 0.2)
    origin = RunOrigin.new("tcp://192.0.2.1:8786")
    run = FinetuneRun(runner, "segmentation", scans, tmp_path / "model", {}, origin=origin)
    host.wait_until(lambda: run.done, 30)
    (cases, _files) = runner.data
    assert len(cases.cases) == 3
    assert not [text for text in texts_in(cases) if "Patient" in text or "Heart" in text]
    run._fail(ValueError(f"{cases.cases[0].name} is empty"))
    assert str(run.error) == "Patient_0 is empty"


def test_estimate_elsewhere_asks_before_it_sends_the_start_model(host, tab, user_models, monkeypatch):
    from MaskWhatMattersLib.bridge import finetune_start

    save_tiny_encoder(user_models, "mae-ct")
    tab.panel.use_model("mae-ct")
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://192.0.2.1:8786"
    monkeypatch.setattr(finetune_start, "_scheduler", lambda *_args: pytest.fail("It was sent"))
    host.dialogs.answers.append("cancel")
    tab.ui.estimateButton.click()
    assert "start model mae-ct will be sent" in host.dialogs.texts()[-1]
    assert "The start model was not sent" in tab.ui.estimateLabel.text


def test_slicer_asks_for_a_finetuning_and_reads_its_result_without_torch():
    modules = (
        "jobs.finetune_job",
        "training.run_result",
        "training.resource_estimate",
        "datasets.image_cases",
        "training.points",
    )
    imports = "; ".join(f"import MaskWhatMattersLib.{module}" for module in modules)
    code = f"{imports}; import sys; print({{'torch', 'lightning_fabric', 'monai'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
