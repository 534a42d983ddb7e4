"""Nothing waits for a person: dialogs are recorded, questions answered from a script, installations only noted."""

import pytest


def test_question_without_an_answer_is_declined_and_fails_the_test(host):
    assert not host.slicer.util.confirmOkCancelDisplay("Send the images?")
    with pytest.raises(AssertionError, match="Send the images"):
        host.check_nothing_escaped()
    host.dialogs.clear()


@pytest.mark.parametrize(("answer", "agreed"), [("ok", True), ("cancel", False)])
def test_scripted_answer_is_given(host, answer, agreed):
    host.dialogs.answers.append(answer)
    assert host.slicer.util.confirmOkCancelDisplay("Send the images?") is agreed


def test_button_of_its_own_is_pressed(host):
    import qt

    box = qt.QMessageBox()
    box.text = "Weights, 12 MB"
    download = box.addButton("Download", qt.QMessageBox.AcceptRole)
    box.addButton("Later", qt.QMessageBox.RejectRole)
    host.dialogs.answers.append("Download")
    box.exec_()
    assert box.clickedButton() is download
    assert host.dialogs.texts() == ["Weights, 12 MB"]


def test_answer_that_no_button_has_is_an_error(host):
    host.dialogs.answers.append("perhaps")
    with pytest.raises(AssertionError, match="perhaps"):
        host.slicer.util.confirmYesNoDisplay("Really?")


def test_file_dialog_gives_the_scripted_path(host, tmp_path):
    import qt

    host.dialogs.answers.append(str(tmp_path))
    assert qt.QFileDialog.getExistingDirectory(None, "Weights folder") == str(tmp_path)


def test_declined_installation_raises_and_installs_nothing(host):
    import slicer.packaging

    host.dialogs.answers.append("cancel")
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure(["no-such-package>=1"], requester="WhatMatters")
    assert host.installations.requested == []


def test_accepted_installation_is_noted_and_counts_as_installed(host):
    import slicer.packaging

    host.installations.pretend_missing.add("numpy")
    host.dialogs.answers.append("ok")
    slicer.packaging.pip_ensure("numpy>=1.20", requester="WhatMatters")
    assert host.installations.requested == ["numpy>=1.20"]
    assert slicer.packaging.pip_check("numpy")


def test_torch_is_asked_for_through_its_extension(host):
    import PyTorchUtils

    host.installations.torch_installed = False
    host.dialogs.answers.append("ok")
    PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=">=2.1")
    assert host.installations.requested == ["torch>=2.1"]


def test_python_slicer_is_this_python(host):
    import shutil
    import subprocess

    command = [shutil.which("PythonSlicer"), "-c", "print(6 * 7)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"


def test_process_without_waiting_reports_its_lines(host):
    import sys

    lines, codes = [], []
    host.slicer.util.launchConsoleProcess(
        [sys.executable, "-c", "print('hello')"],
        blocking=False,
        logCallback=lines.append,
        completedCallback=codes.append,
    )
    host.wait_until(lambda: codes == [0])
    assert "".join(lines).strip() == "hello"


def test_slicers_own_python_files_are_used_when_a_folder_is_given(tmp_path):
    import os
    import subprocess
    import sys
    from pathlib import Path

    (tmp_path / "slicer").mkdir()
    for name in ("ScriptedLoadableModule", "parameterNodeWrapper", "i18n"):
        (tmp_path / "slicer" / f"{name}.py").write_text("import ctk, qt, slicer\norigin = 'given folder'\n")
    code = "from host import start_host; start_host(); import slicer.parameterNodeWrapper as p; print(p.origin)"
    testing = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "WHATMATTERS_SLICER_PYTHON": str(tmp_path), "PYTHONPATH": str(testing)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "given folder", done.stderr
