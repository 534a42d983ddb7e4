"""Which versions matter between the one who asks and the one who works, and what to say when they differ."""

from __future__ import annotations

import importlib.metadata
import sys

from MaskWhatMattersLib.errors import JobError

# How many leading parts of a version must agree. Specs and arrays travel as pickles between these packages.
_COMPARED_PARTS = {"python": 2, "MaskWhatMattersLib": 3, "distributed": 3, "pydantic": 2, "numpy": 1}


def library_versions() -> dict[str, str]:
    """Versions of Python, of this library and of the packages that carry jobs, in this process."""
    import MaskWhatMattersLib

    python = ".".join(map(str, sys.version_info[:3]))
    versions = {"python": python, "MaskWhatMattersLib": MaskWhatMattersLib.__version__}
    for name in ("distributed", "pydantic", "numpy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def require_same_versions(here: dict[str, str], there: dict[str, dict[str, str]]) -> None:
    """Compare versions with those of other processes.

    Args:
        here: Versions of this process.
        there: Versions of the other processes, by the name under which the message shall list them.

    Raises:
        JobError: Some differ; the details list both sides.
    """
    problems = [
        f"{name}: {package} is {versions.get(package, 'unknown')} there and {here.get(package, 'unknown')} here"
        for name, versions in there.items()
        for package, parts in _COMPARED_PARTS.items()
        if _head(versions.get(package), parts) != _head(here.get(package), parts)
    ]
    if problems:
        raise JobError(
            f"The versions of the compute side and of this program do not match. {'; '.join(problems[:4])}.",
            details="\n".join(problems),
            hint="Install the same versions on both sides, then restart the scheduler and its workers.",
        )


def _head(version: str | None, parts: int) -> list[str] | None:
    return None if version is None else version.split(".")[:parts]
