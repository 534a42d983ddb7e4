"""What is missing for a job, and its installation once the user agreed; numpy, SimpleITK, torch are never replaced."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from MaskWhatMattersLib.errors import ConsentRequiredError, JobError
from MaskWhatMattersLib.setup_report import PACKAGES, SetupItem, setup_report

REQUESTER = "MaskWhatMatters"

_JOB_PACKAGES = ("pydantic", "distributed", "cryptography")
# Slicer is built against these, or they come in a build for the graphics card: pip must leave them as they are.
_PROTECTED = ("numpy", "scipy", "SimpleITK", "vtk", "torch", "torchvision")
_TORCH_VERSION = ">=2.6"
_TORCH_SIZE = "0.2 to 3 GB"  # for the processor alone, up to a build for CUDA with its libraries
# Rough download with what each package pulls in, MB; the user wants to know whether it takes seconds or minutes.
_DOWNLOAD_MB = {
    "transformers": 25,
    "monai": 2,
    "cryptography": 5,
    "distributed": 5,
    "pydantic": 3,
    "nibabel": 4,
    "lightning_fabric": 5,
}
_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies|version conflict|incompatible", re.IGNORECASE)


def missing_packages(required: Iterable[str] = ()) -> list[str]:
    """Import names of packages that a job needs and that are not installed; fast, nothing is imported.

    Args:
        required: What the localizer needs beside the packages that every job needs.
    """
    names = dict.fromkeys([*_JOB_PACKAGES, *required])
    return [name for name in names if not is_installed(name)]


def is_installed(name: str) -> bool:
    """Whether a package is there, in a version that will do, and not just the remains of a broken installation."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin is None:
        return False
    if name not in PACKAGES:
        return True
    import slicer.packaging

    return bool(slicer.packaging.pip_check(_requirement(name)))


def download_size(names: Iterable[str]) -> str:
    """Rough size of a download in words; torch, whose builds differ widely, outweighs the rest."""
    wanted = list(names)
    return _TORCH_SIZE if "torch" in wanted else f"{sum(_DOWNLOAD_MB.get(name, 1) for name in wanted)} MB"


def install_packages(names: Iterable[str]) -> None:
    """Install packages by their import names; Slicer asks the user first.

    torch comes from the PyTorch extension, which picks the build for the graphics card; everything else from pip, held
    by constraints to the versions of the protected packages that are there.

    Raises:
        ConsentRequiredError: The user declined; nothing was installed.
        JobError: The installation failed; details say why.
    """
    wanted = list(dict.fromkeys(names))
    if "torch" in wanted:
        _install_torch()
        wanted.remove("torch")
    if wanted:
        _install_by_pip(wanted)
    importlib.invalidate_caches()
    left = [name for name in names if not is_installed(name)]
    if left:
        raise JobError(
            f"Packages are still missing after the installation: {', '.join(left)}.",
            hint="Restart Slicer and try again; Check setup shows what is there.",
        )


class SetupCheck:
    """The setup report, made on a thread of its own: asking the graphics card takes up to a second.

    The thread touches neither Qt nor MRML; the panel asks `report` from a timer.
    """

    def __init__(self) -> None:
        self._items: list[SetupItem] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look again, unless that is under way."""
        if self._thread is None or not self._thread.is_alive():
            self._items = None
            self._thread = threading.Thread(target=self._look, name="setup check", daemon=True)
            self._thread.start()

    @property
    def report(self) -> list[SetupItem] | None:
        """The report; None while it is being made."""
        return self._items

    def _look(self) -> None:
        try:
            self._items = setup_report()
        except Exception as error:  # a report must come, whatever is broken
            self._items = [SetupItem("Check setup", "warning", f"{type(error).__name__}: {error}", "Report this.")]
        # What the first job imports takes an eighth of a second: here it holds up nobody.
        with contextlib.suppress(ImportError):
            importlib.import_module("MaskWhatMattersLib.jobs.relevance_job")


def device_name(items: Iterable[SetupItem]) -> str:
    """What jobs run on, in words: the graphics card where torch can use it, else "CPU"."""
    found = {item.name: item for item in items}
    card, torch = found.get("Graphics card"), found.get("torch")
    if card and torch and torch.status == "ok" and "CUDA" in torch.found and "driver" in card.found:
        return card.found.split(", driver")[0]
    return "CPU"


def _install_torch() -> None:
    try:
        utilities: Any = importlib.import_module("PyTorchUtils")
    except ImportError as error:
        raise JobError(
            "torch is missing, and so is the PyTorch extension that installs it.",
            hint='Install the extension "PyTorch" in the Extensions Manager, restart Slicer, and try again.',
        ) from error
    try:
        torch = utilities.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=_TORCH_VERSION)
    except Exception as error:
        raise _failed(error) from error
    if torch is None:
        raise ConsentRequiredError(
            "torch was not installed because nobody agreed to it. Press the button again to be asked once more."
        )


def _install_by_pip(names: list[str]) -> None:
    import slicer.packaging

    requirements = [_requirement(name) for name in names]
    pinned, unknown = _protected_packages()
    with tempfile.TemporaryDirectory(prefix="mwm") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pinned) + "\n", encoding="utf-8")
        try:
            slicer.packaging.pip_ensure(
                requirements, constraints=str(constraints), skip_packages=unknown or None, requester=REQUESTER
            )
        except subprocess.CalledProcessError as error:
            raise _failed(error) from error
        except RuntimeError as error:  # what pip_ensure raises when the user says no
            raise ConsentRequiredError(
                f"{', '.join(names)} were not installed because nobody agreed to it. "
                "Press the button again to be asked once more."
            ) from error


def _requirement(name: str) -> str:
    pypi, lowest, _ = PACKAGES.get(name, (name, "", ""))
    return f"{pypi}>={lowest}" if lowest else pypi


def _protected_packages() -> tuple[list[str], list[str]]:
    """Constraint lines for protected packages, and names of those that are there without pip knowing a version."""
    pinned, unknown = [], []
    for name in _PROTECTED:
        try:
            pinned.append(f"{name}=={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if is_installed(name):
                unknown.append(name)
    return pinned, unknown


def _failed(error: Exception) -> JobError:
    said = "\n".join(str(part) for part in (error, getattr(error, "output", ""), getattr(error, "stderr", "")) if part)
    if _CONFLICT.search(said):
        return JobError(
            "The installation failed: the versions conflict. Some package needs another version than the one that "
            "Slicer or another extension has installed.",
            details=f"{type(error).__name__}: {said}",
            hint="The Python console names the packages. Update Slicer and its extensions, or install this extension "
            "in a Slicer of its own; numpy, SimpleITK and torch were left as they are.",
        )
    return JobError(
        "The installation failed.",
        details=f"{type(error).__name__}: {said}",
        hint="Check the internet connection and free disk space, then try again; the Python console has the whole log.",
    )
