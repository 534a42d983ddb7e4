"""Jobs that are cancelled, orphaned, killed or sent away: a clear message, nothing lost, and the next job works."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest


def count_nodes(host) -> int:
    return host.slicer.mrmlScene.GetNumberOfNodes()


def test_apply_becomes_cancel_and_cancel_leaves_nothing(host, panel):
    panel.type("slow")
    before = count_nodes(host)
    panel.click()
    assert (panel.state, panel.ui.applyButton.text) == ("running", "Cancel")
    panel.wait_for_stage("Looking for slow")
    panel.ui.applyButton.click()
    assert (panel.state, panel.ui.applyButton.enabled) == ("cancelling", False)
    panel.wait_for("ready", seconds=5)
    assert (panel.ui.applyButton.text, panel.ui.progressFrame.visible) == ("Apply", False)
    assert count_nodes(host) == before
    panel.find("ball")
    assert panel.state == "done"


def test_progress_shows_stage_steps_and_time(host, panel):
    panel.type("slow")
    panel.click()
    panel.wait_for_stage("Looking for slow (")
    host.wait_until(lambda: "left" in panel.ui.timeLabel.text)
    assert panel.ui.progressBar.maximum == 400
    panel.ui.applyButton.click()
    panel.wait_for("ready")


def test_second_prompt_box_entry_while_running_does_not_start_another_job(host, panel):
    panel.type("slow")
    panel.click()
    run = panel.widget.panel.run
    panel.widget.panel._on_shortcut()
    assert (panel.state, panel.widget.panel.run) == ("running", run)
    panel.ui.applyButton.click()
    panel.wait_for("ready")


def test_closing_the_scene_cancels_the_job_and_makes_no_node(host, panel):
    panel.type("slow")
    panel.click()
    panel.wait_for_stage("Looking for slow")
    host.close_scene()
    panel.wait_for("not ready", seconds=12)
    assert panel.nodes() == []
    assert panel.ui.applyButton.toolTip == "Choose a volume first"
    import numpy as np

    panel.ui.inputSelector.setCurrentNode(host.add_volume(np.ones((8, 8, 8), np.float32), "next"))
    panel.choose("probe")
    panel.find("ball")
    assert panel.state == "done"


def test_volume_removed_meanwhile_is_said_and_nothing_is_added(host, panel, scan):
    panel.type("slow")
    panel.click()
    panel.wait_for_stage("Looking for slow")
    host.slicer.mrmlScene.RemoveNode(scan)
    assert panel.ui.applyButton.text == "Cancel"
    panel.ui.applyButton.click()
    panel.wait_for("not ready", "ready")
    assert panel.nodes() == []


def test_worker_killed_by_its_job_is_explained_and_the_next_job_works(panel):
    panel.find("killed")
    assert panel.state == "failed"
    assert "SIGKILL" in panel.ui.failureLabel.text
    assert "memory" in panel.ui.adviceLabel.text
    assert panel.ui.detailsButton.visible
    panel.ui.detailsButton.click()
    assert "the worker is about to die" in panel.ui.detailsText.toPlainText()
    panel.find("ball")
    assert (panel.state, panel.ui.failureFrame.visible) == ("done", False)


def test_worker_killed_from_outside_is_explained_and_the_next_job_works(host, panel):
    from MaskWhatMattersLib.bridge.jobs import runner_for

    panel.type("slow")
    panel.click()
    panel.wait_for_stage("Looking for slow")
    os.kill(runner_for().worker_pid, signal.SIGKILL)
    panel.wait_for("failed", seconds=20)
    assert panel.ui.failureLabel.text
    panel.find("ball")
    assert panel.state == "done"


def test_error_of_a_job_hides_its_details_behind_a_button(panel):
    panel.find("wrong")
    assert "the network is upside down" in panel.ui.failureLabel.text
    assert panel.ui.adviceLabel.text
    assert not panel.ui.detailsText.visible
    panel.ui.detailsButton.click()
    assert panel.ui.detailsText.visible
    assert "Traceback" in panel.ui.detailsText.toPlainText()


def test_log_line_says_how_it_ended_and_the_log_opens(panel):
    panel.find("ball")
    assert panel.ui.logLineLabel.text.startswith("Done in 0:")
    assert not panel.ui.logText.visible
    panel.ui.logButton.click()
    assert panel.ui.logText.toPlainText().splitlines()[-2:] == ["Looking for ball", "finished ball"]


def to_scheduler(panel, address):
    panel.ui.computeCombo.setCurrentIndex(panel.ui.computeCombo.findData("scheduler"))
    panel.ui.schedulerEdit.text = address
    panel.type("ball")


def test_scans_are_not_sent_without_consent(host, panel):
    to_scheduler(panel, "tcp://127.0.0.1:9")
    host.dialogs.answers.append("cancel")
    panel.click()
    assert panel.state == "ready"
    assert "127.0.0.1:9" in host.dialogs.texts()[-1]


def test_wrong_scheduler_address_is_explained(host, panel):
    to_scheduler(panel, "tcp://0.0.0.0:8786")
    host.dialogs.answers.append("ok")
    panel.click()
    assert panel.state == "failed"
    assert "0.0.0.0" in panel.ui.failureLabel.text
    assert panel.ui.adviceLabel.text


def test_scheduler_that_does_not_answer_is_explained_and_asked_about_once(host, panel):
    to_scheduler(panel, "tcp://127.0.0.1:9")
    host.dialogs.answers.append("ok")
    panel.click()
    panel.wait_for("failed", seconds=30)
    assert "127.0.0.1:9" in panel.ui.failureLabel.text
    assert "firewall" in panel.ui.adviceLabel.text
    asked = len(host.dialogs.shown)
    panel.ui.computeCombo.setCurrentIndex(0)
    panel.find("ball")
    assert (panel.state, len(host.dialogs.shown)) == ("done", asked)


def test_error_while_showing_an_event_does_not_hide_the_end(host, panel, monkeypatch, caplog):
    def fail(event):
        raise RuntimeError("no such label")

    monkeypatch.setattr(panel.widget.panel.job, "show_event", fail)
    panel.find("ball")
    assert panel.state == "done"
    assert "no such label" in caplog.text


def test_main_thread_gives_way_to_background_threads_while_a_job_runs(host, panel, monkeypatch):
    from MaskWhatMattersLib.bridge import threads

    pauses = []
    monkeypatch.setattr(threads.time, "sleep", lambda seconds: pauses.append(seconds))
    panel.type("slow")
    panel.click()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        host.process_events()
    panel.ui.applyButton.click()
    assert pauses.count(0.002) > 10
    monkeypatch.undo()
    panel.wait_for("ready")


def test_worker_elsewhere_learns_no_name_of_a_scan(host):
    from MaskWhatMattersLib.bridge.corn_segment_run import CornSegmentRun
    from MaskWhatMattersLib.bridge.relevance_run import RelevanceRun
    from MaskWhatMattersLib.errors import JobError
    from probe_training import KeptRunner, texts_in

    node = host.add_volume(np.ones((4, 5, 6), np.float32), "Patient", np.eye(4))
    for is_remote in (False, True):
        asked, segmented = KeptRunner(), KeptRunner()
        with pytest.raises(JobError):
            RelevanceRun(asked, node, "lung", is_remote=is_remote)
        with pytest.raises(JobError):
            CornSegmentRun(segmented, None, [node], is_remote=is_remote)
        assert ["Patient" in texts_in(runner.data) for runner in (asked, segmented)] == [not is_remote] * 2
