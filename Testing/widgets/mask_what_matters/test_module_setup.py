"""The setup strip: what is missing, its installation with consent, and what is never replaced."""

from __future__ import annotations

from importlib.metadata import version

import pytest


@pytest.fixture
def lacking(host, panel):
    """The panel in a Slicer without pydantic."""
    host.installations.pretend_missing.add("pydantic")
    panel.type("ball")
    host.leave_module("MaskWhatMatters")
    host.open_module("MaskWhatMatters")
    return panel


def test_ready_names_the_device(host, panel):
    host.wait_until(lambda: "Ready on" in panel.ui.setupLabel.text)
    assert not panel.ui.setupFixButton.visible


def test_missing_package_is_named_and_apply_waits_for_it(lacking):
    assert "pydantic" in lacking.ui.setupLabel.text
    assert "MB" in lacking.ui.setupFixButton.text
    assert not lacking.ui.applyButton.enabled
    assert "missing packages" in lacking.ui.applyButton.toolTip


def test_declined_installation_changes_nothing_and_says_so(host, lacking):
    host.dialogs.answers.append("cancel")
    lacking.ui.setupFixButton.click()
    assert host.installations.requested == []
    assert "nobody agreed" in lacking.ui.setupLabel.text
    assert not lacking.ui.applyButton.enabled


def test_accepted_installation_makes_the_panel_ready(host, lacking):
    host.dialogs.answers.append("ok")
    lacking.ui.setupFixButton.click()
    assert host.installations.requested == ["pydantic>=2.10"]
    assert lacking.ui.applyButton.enabled
    assert not lacking.ui.setupFixButton.visible


def test_installation_pins_numpy_simpleitk_and_torch(host, lacking, monkeypatch):
    import slicer.packaging

    seen = {}

    def pip_ensure(requirements, constraints, **options):
        with open(constraints, encoding="utf-8") as file:
            seen["pins"] = file.read().split()

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    lacking.ui.setupFixButton.click()
    assert {f"{name}=={version(name)}" for name in ("numpy", "SimpleITK", "torch")} <= set(seen["pins"])


def test_torch_comes_from_the_pytorch_extension_and_declining_stops_the_rest(host, monkeypatch):
    from MaskWhatMattersLib.bridge.setup import install_packages
    from MaskWhatMattersLib.errors import ConsentRequiredError

    host.dialogs.answers.append("cancel")
    with pytest.raises(ConsentRequiredError, match="torch was not installed"):
        install_packages(["monai", "torch"])
    assert host.installations.calls == [("installTorch", {"version": ">=2.6"})]


def test_missing_pytorch_extension_is_explained(host, monkeypatch):
    import sys

    from MaskWhatMattersLib.bridge.setup import install_packages
    from MaskWhatMattersLib.errors import JobError

    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(JobError) as caught:
        install_packages(["torch"])
    assert "Extensions Manager" in caught.value.hint


def test_check_setup_report_opens_and_is_copied(host, panel):
    panel.ui.setupCheckButton.click()
    assert panel.ui.setupReportFrame.visible
    host.wait_until(lambda: "numpy" in panel.ui.setupReportText.toPlainText())
    panel.ui.setupCopyButton.click()
    assert host.slicer.app.clipboard().text() == panel.ui.setupReportText.toPlainText()


def test_packages_are_not_looked_for_at_each_key_press(panel, monkeypatch):
    from MaskWhatMattersLib.bridge import widgets

    looked = []
    monkeypatch.setattr(widgets, "missing_packages", lambda required: looked.append(required) or [])
    for text in ("l", "le", "lef", "left"):
        panel.type(text)
    assert looked == []
    panel.choose("builtin")
    assert [names[0] for names in looked] == ["torch"]


def test_conflict_of_versions_is_named(host, lacking, monkeypatch):
    import subprocess

    import slicer.packaging

    def pip_ensure(*_arguments, **_options):
        raise subprocess.CalledProcessError(1, "pip", output="ERROR: ResolutionImpossible: for help visit pip")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", pip_ensure)
    lacking.ui.setupFixButton.click()
    assert "versions conflict" in lacking.ui.setupLabel.text
    assert "ResolutionImpossible" in lacking.ui.setupLabel.toolTip


def test_size_of_torch_is_told_as_a_range():
    from MaskWhatMattersLib.bridge.setup import download_size

    assert download_size(["torch", "monai"]) == "0.2 to 3 GB"
    assert download_size(["pydantic", "monai"]) == "5 MB"
