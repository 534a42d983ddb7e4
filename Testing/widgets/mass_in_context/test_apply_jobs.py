"""Jobs of the tab "Apply example" that are cancelled, orphaned, killed or sent away: a clear message, nothing lost."""

from __future__ import annotations


def start_slow(tab):
    tab.choose(tab.ui.modelCombo, "slow")
    tab.click()
    tab.host.wait_until(lambda: "Segmenting" in tab.ui.stageLabel.text, 60)


def test_apply_becomes_cancel_and_cancel_leaves_nothing(host, tab):
    before = host.slicer.mrmlScene.GetNumberOfNodes()
    start_slow(tab)
    assert (tab.state, tab.ui.applyButton.text) == ("running", "Cancel")
    tab.ui.applyButton.click()
    tab.wait_for("ready", seconds=30)
    assert (tab.ui.applyButton.text, tab.ui.progressFrame.visible) == ("Apply", False)
    assert host.slicer.mrmlScene.GetNumberOfNodes() == before
    assert not tab.ui.resultButton.visible


def test_stage_names_the_target_and_cancel_begins_no_other(tab, add_scan):
    add_scan("other", 2)
    tab.tick_all("other")
    start_slow(tab)
    assert tab.ui.stageLabel.text.startswith("target (1/2): Segmenting")
    tab.ui.applyButton.click()
    tab.wait_for("ready", seconds=30)
    assert len(tab.nodes()) == 1


def test_closing_the_scene_cancels_the_job_and_makes_no_node(host, tab, add_scan, add_marks):
    start_slow(tab)
    host.close_scene()
    tab.wait_for("not ready", seconds=30)
    assert tab.nodes() == []
    assert tab.tip == "Choose a volume and what is marked on it first"


def test_target_that_is_removed_meanwhile_is_told_of(host, tab, target):
    tab.choose(tab.ui.modelCombo, "slow")
    tab.click()
    host.slicer.mrmlScene.RemoveNode(target)
    tab.wait_for("failed", seconds=60)
    assert 'The volume "target" was removed' in tab.ui.failureLabel.text


def test_one_target_that_fails_keeps_no_other_from_its_result(host, tab):
    host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    tab.tick_all("empty")
    tab.apply()
    assert tab.state == "done"
    failed, *found = tab.table()
    assert (failed[0], failed[3], len(found)) == ("empty", "failed", 2)


def test_worker_that_is_killed_is_explained_and_the_next_job_works(tab):
    tab.choose(tab.ui.modelCombo, "killed")
    tab.apply()
    assert tab.state == "failed"
    assert "SIGKILL" in tab.ui.failureLabel.text
    tab.choose(tab.ui.modelCombo, "mass-tiny")
    tab.apply()
    assert (tab.state, tab.ui.failureFrame.visible) == ("done", False)


def test_error_while_the_example_is_learned_ends_the_run(tab):
    tab.choose(tab.ui.modelCombo, "wrong")
    tab.apply()
    assert tab.state == "failed"
    assert "the network is upside down" in tab.ui.failureLabel.text
    assert not tab.ui.resultButton.visible


def test_scans_are_not_sent_without_consent(host, tab):
    tab.choose(tab.ui.computeCombo, "scheduler")
    assert tab.tip == "Type the address of the Dask scheduler under Advanced first"
    tab.ui.schedulerEdit.text = "tcp://127.0.0.1:9"
    host.dialogs.answers.append("cancel")
    tab.click()
    assert tab.state == "ready"
    assert "127.0.0.1:9" in host.dialogs.texts()[-1]
