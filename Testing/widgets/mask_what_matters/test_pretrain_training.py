"""Pretrainings from the tab and from the console, with tiny networks on a real worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pretrain_tab import TINY, PretrainTab


@pytest.fixture
def tab(host, user_models) -> PretrainTab:
    """The tab with two scans, both ticked."""
    tab = PretrainTab(host, host.open_module("MaskWhatMatters"))
    for seed in range(2):
        tab.add_scan(seed)
    tab.tick_all()
    yield tab
    if tab.panel is not None and tab.panel.run is not None:
        tab.panel.run.cancel()
        tab.wait()


def write_pictures(folder: Path, count: int = 3) -> Path:
    from PIL import Image

    folder.mkdir()
    for number in range(count):
        array = np.random.default_rng(number).integers(0, 255, (40, 48)).astype(np.uint8)
        Image.fromarray(array).save(folder / f"picture{number}.png")
    return folder


def test_training_draws_its_curve_and_its_model_can_be_finetuned(host, tab, user_models, screenshots):
    tab.ui.nameEdit.text = "finished"
    tab.train(steps=12)
    assert tab.ui.applyButton.text == "Stop and keep the model"
    tab.wait()
    assert tab.state == "done", tab.ui.failureLabel.text
    np.testing.assert_array_equal(tab.curve()[:, 0], [2, 4, 6, 8, 10, 12])
    assert tab.ui.pictureFrame.visible
    assert tab.ui.pictureTextLabel.text.endswith("step 12")
    assert tab.ui.pictureLabel.pixmap.width() > 100
    assert "Made <b>finished</b> in 12 steps." in tab.ui.resultLabel.text
    host.screenshot(tab.widget, screenshots / "pretrain-done.png")
    layouts, before = host.slicer.app.layoutManager(), host.slicer.app.layoutManager().layout
    tab.ui.showPlotButton.click()
    assert layouts.layout != before
    tab.ui.showPlotButton.click()
    assert layouts.layout == before
    files = sorted(file.name for file in (user_models / "finished").glob("*.*") if file.name != "log.csv")
    assert files == ["model.json", "model.safetensors", "run.json"]
    assert tab.temporary_files() == []
    tab.ui.useModelButton.click()
    assert tab.widget.ui.tabs.currentIndex == 2
    assert tab.parameters.finetuneStartModel == "finished"


def test_paused_training_goes_on_where_it_stopped(tab, user_models):
    tab.ui.nameEdit.text = "paused"
    tab.train(steps=100_000)
    tab.wait_for_points(4)
    tab.ui.pauseButton.click()
    assert not tab.ui.pauseButton.enabled
    tab.wait()
    assert (tab.state, tab.ui.applyButton.text) == ("ready", "Pretrain")
    assert (user_models / "paused" / "checkpoint.ckpt").is_file()
    assert "<b>paused</b> is paused at step" in tab.ui.pauseLabel.text
    assert not tab.ui.resultFrame.visible
    stopped_at = int(tab.ui.pauseLabel.text.split("step ")[1].rstrip("."))
    tab.ui.resumeButton.click()
    tab.wait_for_points(stopped_at + 2)
    tab.host.wait_until(lambda: len(tab.curve()), 30)
    assert tab.curve()[0, 0] > stopped_at - 2
    tab.ui.applyButton.click()
    tab.wait()
    assert "Kept <b>paused</b> after" in tab.ui.resultLabel.text
    assert not tab.ui.pauseFrame.visible
    assert not (user_models / "paused" / "checkpoint.ckpt").exists()


def test_paused_training_can_be_finished_as_it_is(tab, user_models):
    tab.ui.nameEdit.text = "half-done"
    tab.train(steps=100_000)
    tab.wait_for_points(2)
    tab.ui.pauseButton.click()
    tab.wait()
    tab.ui.keepButton.click()
    assert tab.ui.resultLabel.text == "Kept <b>half-done</b>."
    assert not tab.ui.pauseFrame.visible
    assert (user_models / "half-done" / "model.safetensors").is_file()
    assert not (user_models / "half-done" / "checkpoint.ckpt").exists()


def test_cancel_before_the_first_step_leaves_nothing(tab, user_models):
    before = tab.plot_nodes()
    tab.ui.nameEdit.text = "nothing"
    tab.train()
    tab.ui.applyButton.click()
    tab.wait()
    assert tab.state == "ready"
    assert tab.plot_nodes() == before
    assert not (user_models / "nothing").exists()
    assert tab.temporary_files() == []
    assert not tab.ui.resultFrame.visible


def test_closing_the_scene_stops_the_training_and_keeps_the_model(host, tab, user_models):
    tab.ui.nameEdit.text = "scene-closed"
    tab.train(steps=100_000)
    tab.wait_for_points(4)
    host.close_scene()
    tab.wait()
    assert tab.plot_nodes() == []
    assert tab.listed() == []
    assert (user_models / "scene-closed" / "model.safetensors").is_file()
    assert tab.temporary_files() == []


def test_reloaded_module_keeps_the_model_of_a_running_training(host, tab, user_models):
    tab.ui.nameEdit.text = "reloaded"
    tab.train(steps=100_000)
    tab.wait_for_points(4)
    run = tab.panel.run
    host.reload_module("MaskWhatMatters")
    host.wait_until(lambda: run.done, 120)
    assert run.state == "cancelled"
    assert (user_models / "reloaded" / "model.safetensors").is_file()
    assert tab.temporary_files() == []


def test_model_that_cannot_be_written_is_told(host, tab, user_models, monkeypatch):
    from MaskWhatMattersLib.bridge import training_run

    def full(*_paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training_run.os, "replace", full)
    with pytest.raises(training_run.InputError, match="No space left"):
        training_run._save_files({"model.json": b"{}"}, user_models / "full")


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
    assert "<b>dead-worker</b> is paused at step" in tab.ui.pauseLabel.text
    tab.ui.resumeButton.click()
    tab.wait_for_points(tab.panel.run.steps + 2)
    tab.ui.applyButton.click()
    tab.wait()
    assert (tab.state, tab.ui.pauseFrame.visible) == ("ready", False)


def test_settings_that_are_not_valid_fail_in_words_and_leave_nothing(tab, user_models):
    tab.ui.nameEdit.text = "misspelt"
    tab.train(learning_rat=0.1)
    tab.wait()
    assert tab.state == "failed"
    assert "learning_rat" in tab.ui.failureLabel.text
    assert not (user_models / "misspelt").exists()


def test_pictures_of_a_folder_are_learned_from(tab, user_models, tmp_path):
    tab.choose(tab.ui.dimsCombo, 2)
    tab.choose(tab.ui.sourceCombo, "folder")
    tab.ui.folderEdit.text = str(write_pictures(tmp_path / "pictures"))
    tab.choose(tab.ui.methodCombo, "spark")
    encoder = {"widths": [4, 8, 8], "blocks": [1, 1, 1]}
    tab.train(steps=4, encoder=encoder, size=[16, 16], preprocessing={"longest_side": 32})
    tab.wait()
    assert tab.state == "done", tab.ui.failureLabel.text
    assert "<b>spark-encoder-" in tab.ui.resultLabel.text


def test_scheduler_gets_voxels_and_sends_the_model_back(host, tab, user_models, tmp_path):
    from dask_cluster import dask_cluster
    from MaskWhatMattersLib.jobs.local_cluster import _worker_environment

    tab.ui.nameEdit.text = "from-afar"
    tab.choose(tab.ui.computeCombo, "scheduler")
    with dask_cluster(tmp_path, _worker_environment({"OMP_NUM_THREADS": "1"})) as address:
        tab.ui.schedulerEdit.text = address
        host.dialogs.answers.append("ok")
        tab.train(steps=100_000, save_every=2)
        tab.wait_for_points(4)
        tab.ui.pauseButton.click()
        tab.wait()
        model = user_models / "from-afar" / "model.safetensors"
        before = model.read_bytes()
        tab.ui.resumeButton.click()
        tab.wait_for_points(4)
        tab.ui.applyButton.click()
        tab.wait()
        assert model.read_bytes() != before
        assert not list((tmp_path / "whatmatters-runs").rglob("*"))
        assert "voxels of the scans will be sent" in host.dialogs.texts()[-1]
        assert "Kept <b>from-afar</b> after" in tab.ui.resultLabel.text, tab.ui.failureLabel.text
        assert sorted(file.name for file in (user_models / "from-afar").iterdir()) == [
            "model.json",
            "model.safetensors",
        ]
        tab.ui.nameEdit.text = "from-afar-2"
        tab.train(steps=4)
        tab.wait()
        assert (tab.state, tab.ui.failureLabel.text) == ("done", "")
        again = user_models / "from-afar-2" / "model.safetensors"
        before = again.read_bytes()
        again.parent.rename(tmp_path / "put-away")
        scan = host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
        host.slicer.util.updateVolumeFromArray(scan, host.slicer.util.arrayFromVolume(scan)[::-1] * 3)
        tab.ui.nameEdit.text = "from-afar-2"
        tab.train(steps=4)
        tab.wait()
        assert len(tab.curve()) == 2
        assert again.read_bytes() != before
        assert not list((tmp_path / "whatmatters-runs").rglob("*"))


def test_run_that_was_paused_here_does_not_go_on_elsewhere(tab, user_models, tmp_path):
    from MaskWhatMattersLib.errors import InputError

    tab.ui.nameEdit.text = "stays-here"
    tab.train(steps=100_000)
    tab.wait_for_points(2)
    tab.ui.pauseButton.click()
    tab.wait()
    before = {file: file.read_bytes() for file in (user_models / "stays-here").iterdir()}
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://192.0.2.1:8786"
    told = "It was paused on this computer: choose that under Advanced."
    assert (tab.ui.resumeButton.enabled, tab.ui.resumeButton.toolTip) == (False, told)
    scan = tab.host.slicer.mrmlScene.GetFirstNodeByName("Patient 0")
    with pytest.raises(InputError, match="paused on this computer"):
        tab.widget.logic.pretrain(scan, name="stays-here", resume=True, scheduler="tcp://192.0.2.1:8786", consent=True)
    assert {file: file.read_bytes() for file in (user_models / "stays-here").iterdir()} == before
    tab.choose(tab.ui.computeCombo, "local")
    assert tab.ui.resumeButton.enabled


def test_paused_run_that_was_removed_cannot_be_finished(tab, user_models):
    tab.parameters.pretrainPaused = '{"name": "removed", "step": 4, "call": {}}'
    tab.host.process_events()
    tab.ui.keepButton.click()
    assert tab.ui.resultLabel.text == "There is no model <b>removed</b> on this computer, so nothing was kept."
    assert not tab.ui.pauseFrame.visible


def test_worker_elsewhere_learns_no_name(host, tab, tmp_path):
    from MaskWhatMattersLib.bridge.pretrain_run import PretrainRun
    from MaskWhatMattersLib.bridge.pretrain_settings import console_settings
    from MaskWhatMattersLib.bridge.training_run import RunOrigin
    from probe_training import KeptRunner, texts_in

    ids = [host.slicer.mrmlScene.GetFirstNodeByName(f"Patient {seed}").GetID() for seed in range(2)]
    sent = []
    origin = RunOrigin.new("tcp://192.0.2.1:8786")
    for _again in range(2):
        runner = KeptRunner()
        run = PretrainRun(
            runner, ids, tmp_path / "model", console_settings((), method="mae", preset="fast", dims=3), origin=origin
        )
        host.wait_until(lambda run=run: run.done, 30)
        sent.append([case.name for case in runner.data[0].cases])
        assert not [text for text in texts_in(runner.data) if "Patient" in text]
        assert origin.secret not in str(runner.spec)
    assert sent[0] == sent[1]


def test_quitting_during_a_training_leaves_no_scans_and_no_dead_checkpoint(tab, user_models):
    from MaskWhatMattersLib.bridge.training_run import clean_up

    tab.ui.nameEdit.text = "quit"
    tab.train(steps=100_000, save_every=2)
    tab.wait_for_points(4)
    run = tab.panel.run
    assert sorted(file.name for file in run.folder.iterdir()) == ["scan-0001.nii", "scan-0002.nii"]
    run.abandon()
    clean_up(run.folder, run.output)
    assert tab.temporary_files() == []
    assert (user_models / "quit" / "model.safetensors").is_file()
    assert not (user_models / "quit" / "checkpoint.ckpt").exists()
    tab.panel.run = None  # Slicer is gone, and nobody waits for the end of the run


def test_declined_consent_sends_nothing(host, tab):
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://127.0.0.1:9"
    host.dialogs.answers.append("cancel")
    tab.train()
    assert (tab.state, tab.panel.run) == ("ready", None)


def test_console_pretrains_on_nodes_and_on_files(tab, user_models, tmp_path):
    logic, scan = tab.widget.logic, tab.add_scan(7)
    name = logic.pretrain(scan, config={**TINY, "steps": 2}, minutes=1)
    assert name.startswith("mae-encoder-")
    assert (user_models / name / "model.safetensors").is_file()
    file = tmp_path / "scan.nii"
    tab.host.slicer.util.saveNode(scan, str(file))
    run = logic.pretrain([file], config={**TINY, "steps": 2}, name="of-a-file", wait=False)
    assert run.result() == "of-a-file"
    assert (run.state, run.steps) == ("done", 2)
    assert run.loss > 0


def test_console_resumes_by_name_and_estimates(tab, user_models):
    logic = tab.widget.logic
    settings = {"config": {**TINY, "steps": 100_000}, "name": "by-name"}
    images = [tab.host.slicer.mrmlScene.GetFirstNodeByName(f"Patient {seed}") for seed in range(2)]
    run = logic.pretrain(images, wait=False, **settings)
    tab.host.wait_until(lambda: run.steps >= 4 or run.done, 120)
    run.pause()
    tab.host.wait_until(lambda: run.done, 120)
    assert run.state == "paused"
    again = logic.pretrain(images, wait=False, resume=True, **settings)
    tab.host.wait_until(lambda: again.steps > run.steps or again.done, 120)
    again.cancel()
    assert again.result() == "by-name"
    estimate = logic.estimatePretrain(config={**TINY, "steps": 100}, inside=0.7)
    assert estimate.steps == 100
    assert estimate.step_s > 0


def test_console_refuses_what_cannot_be_pretrained_with(host, user_models, tmp_path):
    from MaskWhatMattersLib.errors import InputError

    logic = host.open_module("MaskWhatMatters").logic
    scan = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    for images, settings, message in (
        ([], {}, "nothing to learn from"),
        (scan, {}, "has no voxels"),
        ([tmp_path / "a.nii"], {}, "does not exist"),
        (tmp_path / "nowhere", {}, "no folder"),
        (tmp_path, {"method": "dino"}, "no method"),
        (tmp_path, {"preset": "slow", "dims": 4, "minutes": 0}, "preset(.|\n)*dimensions(.|\n)*budget"),
        (tmp_path, {"prompts": "lung", "inside": 0, "outside": 0}, "Nothing would be hidden"),
        (tmp_path, {"ratio": 1.5}, "from 0 to 1"),
        (tmp_path, {"resume": True, "name": "never"}, "no paused pretraining"),
    ):
        with pytest.raises(InputError, match=message):
            logic.pretrain(images, **settings)


def test_slicer_asks_for_a_pretraining_without_torch():
    modules = ("jobs.pretrain_job", "jobs.pretrain_preview_job", "training.run_result", "datasets.image_cases")
    imports = "; ".join(f"import MaskWhatMattersLib.{module}" for module in modules)
    code = f"{imports}; import sys; print({{'torch', 'lightning_fabric', 'monai'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
