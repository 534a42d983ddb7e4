from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from MaskWhatMattersLib import setup_report as module
from MaskWhatMattersLib.setup_report import SetupItem, format_report, setup_report


def _item(name: str) -> SetupItem:
    return next(item for item in setup_report() if item.name == name)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for packages before all others."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("torch", "monai"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_what_is_installed_here_is_ok_with_its_version():
    import numpy

    assert _item("numpy") == SetupItem("numpy", "ok", numpy.__version__)
    assert _item("torch").status == "ok"


def test_looking_at_packages_does_not_import_them():
    code = (
        "import sys; from MaskWhatMattersLib.setup_report import setup_report; setup_report();"
        "print({'torch', 'numpy', 'transformers', 'distributed'} & set(sys.modules))"
    )
    path = str(Path(module.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "set()"


def test_half_installed_torch_is_told_apart_from_an_installed_one(site):
    (site / "torch" / "lib").mkdir(parents=True)
    (site / "torch" / "__init__.py").touch()
    item = _item("torch")
    assert item.status == "missing"
    assert "half installed" in item.found
    assert "Remove the folder torch" in item.advice


def test_a_build_for_the_processor_beside_a_graphics_card_is_a_warning(site, monkeypatch):
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").touch()
    (site / "torch" / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n")
    tool = site / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1, 143771, 140000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(site), prepend=":")
    assert _item("torch").status == "warning"
    assert "136.7 of 140.4 GB free" in _item("Graphics card").found


def test_the_cuda_version_is_read_from_torchs_own_file(site):
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").touch()
    (site / "torch" / "version.py").write_text("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n")
    assert _item("torch").found == "2.13.0+cu130, CUDA 13.0"


def test_a_driver_that_does_not_answer_is_a_warning(site, monkeypatch):
    tool = site / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(site), prepend=":")
    assert _item("Graphics card").status == "warning"


def test_a_missing_package_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", {"made_up": ("made-up", "1", "nothing")})
    item = _item("made-up")
    assert item.status == "missing"
    assert "pip install made-up" in item.advice


def test_an_optional_package_is_only_a_warning(monkeypatch):
    monkeypatch.setattr(module, "OPTIONAL", {"made_up": ("made-up", "", "more")})
    assert _item("made-up").status == "warning"


def test_an_old_version_is_named_with_the_lowest_that_works(monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", {"numpy": ("numpy", "99.1", "arrays")})
    assert "older than 99.1" in _item("numpy").found


def test_a_nearly_full_disk_is_a_warning(monkeypatch):
    monkeypatch.setattr(module, "_FREE_GB", 1e9)
    assert _item("Disk").status == "warning"


def test_the_report_puts_the_advice_below_the_item():
    text = format_report([SetupItem("torch", "missing", "not installed", "Install it."), SetupItem("numpy", "ok", "2")])
    assert text.splitlines()[:3] == [
        "MISSING  torch  not installed",
        "                -> Install it.",
        "ok       numpy  2",
    ]
    assert "1 missing." in text
