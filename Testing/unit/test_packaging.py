"""The package, its environment, and what it may import where."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from static_checks import REPOSITORY
from static_checks.cmake_lists import module_folders
from static_checks.environment import canonical, problems, read_constraints
from static_checks.file_scope_imports import foreign_imports
from static_checks.system_libraries import missing_packages

LIBRARY = REPOSITORY / "MaskWhatMatters" / "MaskWhatMattersLib"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = read_constraints(REPOSITORY / "constraints.txt")
HEAVY = (
    "torch",
    "monai",
    "transformers",
    "pydantic",
    "distributed",
    "dask",
    "nibabel",
    "lightning_fabric",
    "rich",
    "PIL",
)
LIGHT_ROOMS = ("", ".errors", ".progress", ".volumes", ".relevance", ".setup_report", ".display_slices", ".cli")


def _name(requirement: str) -> str:
    for separator in "<>=!~[; ":
        requirement = requirement.split(separator)[0]
    return canonical(requirement)


def _tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("needs the git repository: this is an export of it")
    return [REPOSITORY / name for name in listing.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_a_light_room_imports_in_a_slicer_that_has_none_of_our_packages(room):
    blocked = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}))"
    code = f"{blocked}; import MaskWhatMattersLib{room}"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(LIBRARY.parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_module_files_import_at_file_scope_only_what_every_slicer_has():
    scripts = [folder / f"{folder.name}.py" for folder in module_folders()]
    found = {path.name: foreign_imports(path) for path in [*scripts, *(LIBRARY / "bridge").glob("*.py")]}
    assert {name: packages for name, packages in found.items() if packages} == {}


def test_a_foreign_import_is_seen_wherever_it_runs_at_import(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "try:\n    import torch\nexcept ImportError:\n    import jax\n"
        "class A:\n    import monai\n"
        "def f():\n    import dask\n"
    )
    assert sorted(foreign_imports(script)) == ["jax", "monai", "torch"]


def test_the_public_names_are_imported_at_first_use():
    code = (
        "import sys, MaskWhatMattersLib as m; assert not {'numpy', 'SimpleITK'} & set(sys.modules);"
        "m.read_volume, m.write_volume, m.localize; print(m.__version__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(LIBRARY.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.count(".") == 2


def test_an_unknown_public_name_is_an_attribute_error():
    import MaskWhatMattersLib

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = MaskWhatMattersLib.nothing


def test_every_requirement_is_pinned_for_a_repeatable_set_up():
    asked = [*PROJECT["dependencies"], *(name for extra in PROJECT["optional-dependencies"].values() for name in extra)]
    assert {_name(requirement) for requirement in asked} - PINS.keys() == set()


def test_torch_is_the_version_of_slicers_extension_and_torchvision_is_not_there():
    assert PINS["torch"] == "2.13.0"
    assert "torchvision" not in PINS


def test_a_difference_between_environment_and_pins_is_named():
    present = {"numpy": "1.0", "torchvision": "0.1", "extra": "3", "pip": "1", "nvidia-cudnn": "9"}
    assert problems({"numpy": "2.0"}, present) == [
        "torchvision 0.1 is installed; remove it",
        "extra 3 is installed, but constraints.txt does not pin it",
        "numpy is 1.0; constraints.txt says 2.0",
    ]


def test_names_of_debian_packages_are_printed_for_what_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr("static_checks.system_libraries.LIBRARIES", {"libmade-up1": "libmadeup.so.1"})
    monkeypatch.setattr(sys, "platform", "linux")
    assert "libmade-up1" in missing_packages()


def test_the_checkout_stays_below_the_limit_of_the_extension_index():
    assert sum(path.stat().st_size for path in _tracked_files() if path.is_file()) <= 100_000_000


def test_the_licence_is_apache_and_the_readme_names_it():
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache-2.0" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
