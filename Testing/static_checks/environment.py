"""Check that the environment holds exactly what constraints.txt says, one torch, and no torchvision.

torchvision is tied to one torch build and drags a second one in; transformers quietly behaves differently where it is
installed, so what was tested without it must run without it.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from static_checks import REPOSITORY

UNWANTED = ("torchvision", "torchaudio", "tensorflow", "jax", "sentence-transformers")
BUILD_TOOLS = {"pip", "setuptools", "wheel", "maskwhatmatters"}
# The CUDA build of torch names the exact versions of these itself; the CPU build has none of them.
PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")


def canonical(name: str) -> str:
    """A distribution name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_constraints(path: Path) -> dict[str, str]:
    """Name -> version of every pin in a constraints file."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pins = (line.split("==") for line in lines if line)
    return {canonical(name.strip()): version.strip() for name, version in pins}


def installed() -> dict[str, str]:
    """Name -> public version of every installed distribution."""
    return {
        canonical(found.metadata["Name"]): found.version.split("+")[0]  # "+cpu" names a build, not another version
        for found in metadata.distributions()
        if found.metadata["Name"]
    }


def problems(pins: dict[str, str], present: dict[str, str]) -> list[str]:
    """What in this environment was never tested together."""
    found = [f"{name} {present[name]} is installed; remove it" for name in UNWANTED if name in present]
    for name, version in sorted(present.items()):
        if name in BUILD_TOOLS or name in UNWANTED or name.startswith(PINNED_BY_TORCH):
            continue
        if name not in pins:
            found.append(f"{name} {version} is installed, but constraints.txt does not pin it")
        elif pins[name] != version:
            found.append(f"{name} is {version}; constraints.txt says {pins[name]}")
    return found


def main() -> int:
    """Print every difference; 1 if there is one."""
    found = problems(read_constraints(REPOSITORY / "constraints.txt"), installed())
    for line in found:
        print(line)
    print("Environment differs from constraints.txt: run `make clean setup`." if found else "Environment: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
