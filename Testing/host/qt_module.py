"""The modules `qt` and `ctk` as Slicer's Python knows them, built from PySide6 and our stand-ins."""

from __future__ import annotations

import sys
import types
from typing import Any

from . import ctk_widgets, ui_loader
from .pythonqt import QT_MODULES

_FORBIDDEN = {
    "Signal": "signals declared in Python crash under PythonQt; pass a callable instead",
    "Slot": "PythonQt needs no slot decorator; connect the function itself",
    "Property": "PythonQt cannot declare properties in Python",
    "QThread": "MRML, VTK and Qt belong to the main thread; run the work in a process, with a timer for its events",
    "QRunnable": "MRML, VTK and Qt belong to the main thread; run the work in a process",
}


class _Namespace(types.ModuleType):
    """A module that says why a name is not there."""

    def __getattr__(self, name: str) -> Any:
        if name in _FORBIDDEN:
            raise AttributeError(f"{self.__name__}.{name} is not available: {_FORBIDDEN[name]}")
        raise AttributeError(
            f"The test host's module '{self.__name__}' has no '{name}'. "
            f"If Slicer has it, add it under Testing/host; otherwise correct the name."
        )


def install_qt_modules() -> None:
    """Put `qt`, `ctk` and the generated module of subject hierarchy widgets into sys.modules."""
    qt, ctk = _Namespace("qt"), _Namespace("ctk")
    for module in QT_MODULES:
        for name in dir(module):
            if not name.startswith("_") and name not in _FORBIDDEN:
                setattr(qt, name, getattr(module, name))
    qt.QUiLoader = ui_loader.UiLoader
    for name in ctk_widgets.__all__:
        setattr(ctk, name, getattr(ctk_widgets, name))
    sys.modules["qt"], sys.modules["ctk"] = qt, ctk
