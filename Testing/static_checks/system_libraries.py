"""Name the Debian packages whose libraries PySide6 (offscreen) and VTK's EGL need and this machine lacks."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

LIBRARIES = {
    "libegl1": "libEGL.so.1",
    "libgl1": "libGL.so.1",
    "libx11-6": "libX11.so.6",
    "libxkbcommon0": "libxkbcommon.so.0",
    "libdbus-1-3": "libdbus-1.so.3",
    "libfontconfig1": "libfontconfig.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libegl-mesa0": "libEGL_mesa.so.0",
}
DRIVER_PACKAGE = "libgl1-mesa-dri"
DRIVER_PATTERNS = ("*/dri/*swrast_dri.so", "*/libgallium-*.so", "dri/*swrast_dri.so")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_software_driver() -> bool:
    roots = (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib"))
    return any(next(root.glob(pattern), None) for root in roots if root.is_dir() for pattern in DRIVER_PATTERNS)


def missing_packages() -> list[str]:
    """Debian packages to install, in a fixed order; empty on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = [package for package, library in LIBRARIES.items() if not _loads(library)]
    return missing + [DRIVER_PACKAGE] * (not _has_software_driver())


def main(arguments: list[str]) -> int:
    """Say what is missing; with `--names` print the bare package names for a script."""
    missing = missing_packages()
    if "--names" in arguments:
        print(" ".join(missing))
    elif missing:
        print("Libraries for the window and rendering tests are missing on this machine. Install them as root with:")
        print(f"  apt-get install -y --no-install-recommends {' '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
