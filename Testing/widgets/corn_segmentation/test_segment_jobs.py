"""Jobs of the tab "Segment" that are cancelled, orphaned, killed or sent away: a clear message, and nothing lost."""

from __future__ import annotations


def count_nodes(host) -> int:
    return host.slicer.mrmlScene.GetNumberOfNodes()


def start_slow(tab):
    tab.be_slow()
    tab.click()
    tab.host.wait_until(lambda: "Segmenting" in tab.ui.stageLabel.text, 60)


def test_apply_becomes_cancel_and_cancel_leaves_nothing(host, tab):
    before = count_nodes(host)
    start_slow(tab)
    assert (tab.state, tab.ui.applyButton.text) == ("running", "Cancel")
    tab.ui.applyButton.click()
    assert (tab.state, tab.ui.applyButton.enabled) == ("cancelling", False)
    tab.wait_for("ready", seconds=30)
    assert (tab.ui.applyButton.text, tab.ui.progressFrame.visible) == ("Apply", False)
    assert count_nodes(host) == before
    assert not tab.ui.resultButton.visible


def test_cancel_with_several_scans_begins_no_other(host, tab, add_heart):
    add_heart("other heart", 2)
    tab.ui.studyCheckBox.checked = True
    start_slow(tab)
    assert tab.ui.stageLabel.text.startswith("heart (1/2): ")
    tab.ui.applyButton.click()
    tab.wait_for("ready", seconds=30)
    assert tab.nodes() == []


def test_closing_the_scene_cancels_the_job_and_makes_no_node(host, tab, add_heart):
    start_slow(tab)
    host.close_scene()
    tab.wait_for("not ready", seconds=30)
    assert tab.nodes() == []
    assert tab.ui.applyButton.toolTip == "Choose a volume first"
    tab.ui.inputSelector.setCurrentNode(add_heart("next"))
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()
    assert tab.state == "done"


def test_volume_removed_meanwhile_is_said_and_nothing_is_added(host, tab, heart):
    start_slow(tab)
    host.slicer.mrmlScene.RemoveNode(heart)
    tab.ui.applyButton.click()
    tab.wait_for("not ready", "ready", seconds=30)
    assert tab.nodes() == []


def choose_and_apply(tab, model):
    tab.choose(tab.ui.modelCombo, model)
    tab.ui.acknowledgeCheckBox.checked = True
    tab.apply()


def test_worker_that_is_killed_is_explained_and_the_next_job_works(tab):
    choose_and_apply(tab, "killed")
    assert tab.state == "failed"
    assert "SIGKILL" in tab.ui.failureLabel.text
    assert "memory" in tab.ui.adviceLabel.text
    tab.ui.detailsButton.click()
    assert "the worker is about to die" in tab.ui.detailsText.toPlainText()
    choose_and_apply(tab, "left-atrium")
    assert (tab.state, tab.ui.failureFrame.visible) == ("done", False)


def test_error_of_a_job_hides_its_details_behind_a_button(tab):
    choose_and_apply(tab, "wrong")
    assert tab.state == "failed"
    assert "the network is upside down" in tab.ui.failureLabel.text
    assert not tab.ui.detailsText.visible
    tab.ui.detailsButton.click()
    assert "Traceback" in tab.ui.detailsText.toPlainText()


def test_scans_are_not_sent_without_consent(host, tab):
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://127.0.0.1:9"
    host.dialogs.answers.append("cancel")
    tab.click()
    assert tab.state == "ready"
    assert "127.0.0.1:9" in host.dialogs.texts()[-1]


def test_scheduler_that_does_not_answer_is_explained(host, tab):
    tab.choose(tab.ui.computeCombo, "scheduler")
    tab.ui.schedulerEdit.text = "tcp://127.0.0.1:9"
    host.dialogs.answers.append("ok")
    tab.click()
    tab.wait_for("failed", seconds=30)
    assert "127.0.0.1:9" in tab.ui.failureLabel.text


def test_progress_and_log_are_shown(host, tab):
    tab.apply()
    assert tab.ui.logLineLabel.text.startswith("Done in 0:")
    tab.ui.logButton.click()
    assert tab.ui.logText.toPlainText().splitlines()[-1].startswith("segmented")
