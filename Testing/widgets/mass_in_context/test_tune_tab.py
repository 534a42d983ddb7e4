"""The tab "Tune on my cases": which cases it takes, tunings of a tiny network on a real worker, and the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_tab import TuneTab


@pytest.fixture
def tune(host, mass_models) -> TuneTab:
    tab = TuneTab(host, host.open_module("MassInContext"))
    yield tab
    if tab.panel.run is not None:
        tab.panel.run.cancel()
        tab.wait()


@pytest.fixture
def tiny(tune, mass_models) -> TuneTab:
    """The tab with a model that can be tuned within a second."""
    from tiny_tuning import tuning_model

    tuning_model(mass_models)
    tune.widget.listModels()
    return tune


def test_fewer_than_three_cases_say_so(tune):
    tune.add_cases(2)
    assert "3 to 10 cases" in tune.ui.summaryLabel.text
    assert "there are 2" in tune.ui.applyButton.toolTip
    assert (tune.ui.applyButton.text, tune.ui.applyButton.enabled) == ("Tune", False)


def test_cases_show_who_measures_and_what_is_learned(tune):
    tune.add_cases(3)
    assert tune.ui.applyButton.enabled, tune.ui.applyButton.toolTip
    assert [row[:3] for row in tune.table(tune.ui.labelledTable)] == [
        [f"Patient {seed}", f"Organs {seed}", "\u2713 same grid"] for seed in (1, 2, 3)
    ]
    assert sorted(row[3] for row in tune.table(tune.ui.labelledTable)) == ["measures", "teaches", "teaches"]
    assert tune.segments() == ["liver", "spleen"]
    assert "Learns liver, spleen from 2 cases. 1 held out" in tune.ui.summaryLabel.text
    assert "With five cases or more, a plain network" in tune.ui.summaryLabel.text


def test_choosing_a_volume_chooses_what_was_drawn_on_it(tune):
    volume, node = tune.add_nodes(1)
    tune.add_nodes(2)
    tune.ui.pairVolumeSelector.setCurrentNode(volume)
    assert tune.ui.pairLabelSelector.currentNode() is node


def test_more_than_ten_cases_are_refused(tune):
    tune.add_cases(11)
    assert "at most 10" in tune.ui.applyButton.toolTip
    assert not tune.ui.applyButton.enabled


def test_segment_that_only_one_case_has_is_refused_until_it_is_left_out(tune):
    tune.add_cases(2)
    tune.add_case(3, ("Liver", "spleeen"))
    assert "spleeen: in no other case than Patient 3" in tune.ui.summaryLabel.text
    assert not tune.ui.applyButton.enabled
    tune.tick("spleeen", False)
    assert "Patient 3 has no spleen." in tune.ui.summaryLabel.text
    assert tune.ui.applyButton.enabled, tune.ui.applyButton.toolTip


def test_tuned_task_shows_its_dice_beside_a_plain_network_and_can_be_used_and_saved(host, tiny, tmp_path, screenshots):
    tiny.add_cases(5)
    tiny.ui.nameEdit.text = "organs"
    tiny.choose(tiny.ui.modeCombo, "head")
    tiny.tune(steps=2)
    assert tiny.ui.applyButton.text == "Cancel"
    tiny.wait()
    assert tiny.state == "done", tiny.ui.failureLabel.text
    assert list(tiny.curves()) == ["Training loss", "Dice", "Dice of a plain network"]
    assert "Made <b>organs</b> in 2 steps. Dice on the held-out case:" in tiny.ui.resultLabel.text
    rows = tiny.table(tiny.ui.tunedTable)
    assert [row[0] for row in rows] == ["liver", "spleen", "Mean"]
    assert all(0 <= float(cell) <= 1 for row in rows for cell in row[1:])
    assert "1 case was held out" in tiny.ui.resultNotesLabel.text
    host.screenshot(tiny.widget, screenshots / "tune-done.png")
    host.dialogs.answers.append(str(tmp_path / "mine.task.safetensors"))
    tiny.ui.saveTaskButton.click()
    assert sorted(file.name for file in tmp_path.glob("mine*")) == [
        "mine.json",
        "mine.safetensors",
        "mine.task.safetensors",
    ]
    tiny.ui.useTaskButton.click()
    chosen = tiny.widget.apply.example.task
    assert (tiny.widget.ui.tabs.currentIndex, chosen.tuned, Path(chosen.model_file).name) == (
        0,
        "head",
        "model.safetensors",
    )


def test_cancel_keeps_what_was_learned(host, tiny, mass_models):
    tiny.add_cases(3)
    tiny.ui.nameEdit.text = "cancelled"
    tiny.tune(steps=100_000)
    host.wait_until(lambda: tiny.panel.run is None or tiny.panel.run.steps >= 2, 120)
    tiny.ui.applyButton.click()
    assert (tiny.state, tiny.ui.applyButton.enabled) == ("cancelling", False)
    tiny.wait()
    assert "Kept <b>cancelled</b> after " in tiny.ui.resultLabel.text
    assert [row[0] for row in tiny.table(tiny.ui.tunedTable)] == ["liver", "spleen", "Mean"]
    assert sorted(file.suffix for file in (mass_models / "cancelled").iterdir()) == [".csv", ".json", ".safetensors"]
    assert not list(Path(host.slicer.app.temporaryPath).glob("training-*"))


def test_console_gives_the_task_file(tiny):
    cases = [tiny.add_nodes(seed) for seed in range(3)]
    from tiny_tuning import TINY

    path = tiny.widget.logic.tune(cases, ["Liver"], startModel="mass-test", config=TINY | {"steps": 1})
    assert [label.name for label in tiny.widget.logic.loadTask(path).labels] == ["liver"]


def test_console_refuses_what_cannot_work(tune, tmp_path):
    from MaskWhatMattersLib.errors import InputError

    logic = tune.widget.logic
    cases = [tune.add_nodes(seed) for seed in range(3)]
    with pytest.raises(InputError, match="there are 2"):
        logic.tune(cases[:2])
    with pytest.raises(InputError, match="Load the files first"):
        logic.tune([*cases, (tmp_path / "scan.nii", tmp_path / "labels.nii")])
    with pytest.raises(InputError, match="there twice"):
        logic.tune([*cases, cases[0]])
    with pytest.raises(InputError, match="called kidney"):
        logic.tune(cases, ["liver", "kidney"])
    with pytest.raises(InputError, match="more than 0 minutes"):
        logic.tune(cases, minutes=0)
    with pytest.raises(InputError, match="mode"):
        logic.tune(cases, mode="heads")
