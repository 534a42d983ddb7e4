"""What Slicer's build and the extension index read from the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from static_checks import REPOSITORY
from static_checks.cmake_lists import (
    RESOURCES,
    SCRIPTS,
    differences,
    files_on_disk,
    listed_files,
    module_folders,
    write,
)

TOP = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module of its own whose lists are up to date."""
    folder = tmp_path / "Sample"
    (folder / "SampleLib").mkdir(parents=True)
    (folder / "Sample.py").touch()
    (folder / "SampleLib" / "table.json").touch()
    (folder / "CMakeLists.txt").write_text(f"set({SCRIPTS}\n  )\n\nset({RESOURCES}\n  )\n")
    write(folder)
    return folder


def test_cmake_lists_name_exactly_the_files_on_disk():
    assert [problem for folder in module_folders() for problem in differences(folder)] == []


def test_every_module_of_the_repository_is_built():
    folders = {path.parent for path in REPOSITORY.glob("*/CMakeLists.txt")}
    assert set(module_folders()) == folders


def test_weights_come_with_their_cards_and_are_listed():
    for folder in module_folders():
        weights = [path for path in listed_files(folder, RESOURCES) if path.endswith(".safetensors")]
        for path in weights:
            assert re.sub("safetensors$", "json", path) in listed_files(folder, RESOURCES)


def test_lists_are_written_from_the_files_on_disk(module):
    assert listed_files(module, SCRIPTS) == ["Sample.py"]
    assert listed_files(module, RESOURCES) == ["SampleLib/table.json"]
    assert "${MODULE_NAME}.py" in (module / "CMakeLists.txt").read_text()


def test_an_unlisted_file_is_a_difference(module):
    (module / "SampleLib" / "new.py").touch()
    assert differences(module) == [f"Sample: {SCRIPTS} lacks SampleLib/new.py"]


def test_a_listed_file_that_is_gone_is_a_difference(module):
    (module / "SampleLib" / "table.json").unlink()
    assert differences(module) == [f"Sample: {RESOURCES} lists SampleLib/table.json, which does not exist"]


def test_hidden_files_by_products_and_tests_are_not_installed(module):
    for name in (".DS_Store", "__pycache__/a.pyc", "Sample.egg-info/PKG-INFO", "Testing/test_a.py"):
        (module / name).parent.mkdir(exist_ok=True)
        (module / name).touch()
    assert files_on_disk(module) == {SCRIPTS: ["Sample.py"], RESOURCES: ["SampleLib/table.json"]}


@pytest.mark.parametrize("key", ["HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"])
def test_the_index_finds_each_metadata_key_on_a_line_of_its_own(key):
    assert len(re.findall(rf'^set\(EXTENSION_{key} "[^"\n]+"\)$', TOP, re.MULTILINE)) == 1


def test_the_extension_depends_on_pytorch_and_is_called_after_its_repository():
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in TOP
    assert re.search(r"^project\(MaskWhatMatters\)$", TOP, re.MULTILINE)
    homepage = re.search(r'EXTENSION_HOMEPAGE "https://[^"]*/SlicerMaskWhatMatters', TOP)
    assert homepage, "the index wants a repository whose name begins with Slicer"


@pytest.mark.parametrize("key", ["ICONURL", "SCREENSHOTURLS"])
def test_pictures_of_the_index_are_raw_files_that_exist(key):
    urls = re.search(rf'EXTENSION_{key} "([^"]+)"', TOP).group(1).split()
    for url in urls:
        prefix, path = url.split("/main/", 1)
        assert prefix.startswith("https://raw.githubusercontent.com/")
        assert path.endswith((".png", ".jpg", ".gif"))
        assert (REPOSITORY / path).is_file()


def _cmake(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """PyPI's cmake, with a stand-in compiler: the extension holds nothing to compile."""
    program = pytest.importorskip("cmake").CMAKE_BIN_DIR
    return subprocess.run(
        [Path(program) / "cmake", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


def _configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    languages = [
        option
        for language in ("C", "CXX")
        for option in (f"-DCMAKE_{language}_COMPILER={shutil.which('true')}", f"-DCMAKE_{language}_COMPILER_FORCED=ON")
    ]
    ninja = build.parent / "ninja"  # named, never run
    ninja.touch(mode=0o755)
    return _cmake(
        *("-S", source, "-B", build, "-G", "Unix Makefiles", f"-DCMAKE_MAKE_PROGRAM={ninja}"),
        *languages,
        *(f"-DSlicer_DIR={REPOSITORY / 'Testing' / 'cmake'}", "-DBUILD_TESTING=ON"),
    )


def test_the_extension_configures_and_installs_every_listed_file(tmp_path):
    configured = _configure(REPOSITORY, tmp_path / "build")
    assert configured.returncode == 0, configured.stderr
    installed = _cmake("--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    assert installed.returncode == 0, installed.stderr
    folder = tmp_path / "installed" / "lib" / "qt-scripted-modules"
    expected = {path for module in module_folders() for files in files_on_disk(module).values() for path in files}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == expected


def test_a_listed_file_that_does_not_exist_stops_the_configuration(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "CMakeLists.txt").write_text(TOP)
    for module in module_folders():
        (copy / module.name).mkdir()
        shutil.copy(module / "CMakeLists.txt", copy / module.name)
    configured = _configure(copy, tmp_path / "build")
    assert configured.returncode != 0
    assert "which is not in" in configured.stderr
