"""Which system libraries PySide6 offscreen and VTK's software rendering still need on this machine."""

from __future__ import annotations

import ctypes
import sys

# Shared object that has to load -> Debian package that brings it.
_DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libEGL_mesa.so.0": "libegl-mesa0",
}


def missing_packages() -> list[str]:
    """Names of the Debian packages whose library does not load; empty on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = [package for library, package in _DEBIAN_PACKAGES.items() if not _loads(library)]
    if "libegl-mesa0" in missing:
        missing.append("libgl1-mesa-dri")  # the software driver behind it; it has no library of its own to try
    return missing


def explain_missing(packages: list[str]) -> str:
    """One sentence that says what is missing and how to install it."""
    return (
        f"The widget tests need {len(packages)} system libraries that are not here: {', '.join(packages)}. "
        f"Install them with: apt-get update && apt-get install -y {' '.join(packages)}"
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
