"""Keep the SCRIPTS and RESOURCES lists of each module equal to the files on disk.

Slicer installs exactly what these lists name: an unlisted file works in the source tree and is missing in every
installed extension, without any message.

Run as `python -m static_checks.cmake_lists` to check, with `--write` to rewrite the lists.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from static_checks import REPOSITORY

SCRIPTS = "MODULE_PYTHON_SCRIPTS"
RESOURCES = "MODULE_PYTHON_RESOURCES"
_NOT_INSTALLED = {"CMakeLists.txt"}
_BY_PRODUCTS = (".egg-info", "__pycache__")  # of `pip install -e .` and of Python


def module_folders(repository: Path = REPOSITORY) -> list[Path]:
    """Folders that the top CMakeLists.txt adds."""
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    return [repository / name for name in re.findall(r"^add_subdirectory\((\w+)\)", text, re.MULTILINE)]


def _installed_files(module: Path) -> Iterator[str]:
    for path in module.rglob("*"):
        relative = path.relative_to(module)
        hidden = any(part.startswith(".") or part.endswith(_BY_PRODUCTS) for part in relative.parts)
        if path.is_file() and not hidden and relative.name not in _NOT_INSTALLED and relative.parts[0] != "Testing":
            yield relative.as_posix()


def files_on_disk(module: Path) -> dict[str, list[str]]:
    """What each list should hold, sorted; paths are relative to the module's folder."""
    files = sorted(_installed_files(module))
    own_script = f"{module.name}.py"
    scripts = [own_script] * (own_script in files) + [f for f in files if f.endswith(".py") and f != own_script]
    return {SCRIPTS: scripts, RESOURCES: [f for f in files if not f.endswith(".py")]}


def _block(name: str) -> re.Pattern[str]:
    return re.compile(rf"set\({name}\n(.*?)\n?  \)", re.DOTALL)


def listed_files(module: Path, name: str) -> list[str]:
    """What one list of the module's CMakeLists.txt holds."""
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    block = _block(name).search(text)
    if block is None:
        raise ValueError(f"{module.name}/CMakeLists.txt has no list {name}. Add `set({name}` and a closing `  )`.")
    entries = (line.strip().strip('"') for line in block.group(1).splitlines())
    return [entry.replace("${MODULE_NAME}", module.name) for entry in entries if entry]


def differences(module: Path) -> list[str]:
    """One line per file that is listed and absent, or present and unlisted."""
    problems = []
    for name, on_disk in files_on_disk(module).items():
        listed = listed_files(module, name)
        problems += [f"{module.name}: {name} lacks {path}" for path in on_disk if path not in listed]
        problems += [f"{module.name}: {name} lists {path}, which does not exist" for path in _without(listed, on_disk)]
        problems += [f"{module.name}: {name} lists {path} twice" for path in set(listed) if listed.count(path) > 1]
    return problems


def _without(paths: Iterable[str], known: list[str]) -> list[str]:
    return [path for path in paths if path not in known]


def write(module: Path) -> None:
    """Rewrite both lists from the files on disk."""
    target = module / "CMakeLists.txt"
    text = target.read_text(encoding="utf-8")
    for name, files in files_on_disk(module).items():
        lines = "".join(f"  {path}\n" for path in files).replace(f"  {module.name}.py\n", "  ${MODULE_NAME}.py\n", 1)
        text = _block(name).sub(lambda _, name=name, lines=lines: f"set({name}\n{lines}  )", text)
    target.write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Check the lists of every module, or rewrite them with `--write`."""
    if "--write" in arguments:
        for module in module_folders():
            write(module)
    problems = [problem for module in module_folders() for problem in differences(module)]
    for problem in problems:
        print(problem)
    print("CMake lists differ from the files on disk: run `make lists`." if problems else "CMake lists: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
