"""Loads a scripted module from its folder, as Slicer's module factory does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer


class qSlicerScriptedLoadableModule:
    """The C++ side of a scripted module: metadata that the Python class fills, and its panels."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = self.moduleName = name
        self.path = str(path)
        self.title = name
        self.icon = None
        self.hidden = False
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.helpText = self.acknowledgementText = ""
        self._widget: Any = None
        self._extra_widgets: list[Any] = []

    def logic(self) -> Any:
        """The C++ logic, which a scripted module has too little of to matter; its Python one is in the widget."""
        return None

    def host_widget(self) -> Any:
        """The panel if it was built already."""
        return self._widget

    def widgetRepresentation(self) -> Any:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
            self._extra_widgets.remove(self._widget)
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        widget = slicer.qSlicerScriptedLoadableModuleWidget()
        widget.moduleName = self.name
        widget.setMRMLScene(slicer.mrmlScene)
        widget._host_make = lambda parent: getattr(sys.modules[self.name], self.name + "Widget")(parent)
        self._extra_widgets.append(widget)
        widget.reload()
        return widget

    def host_delete_widgets(self) -> None:
        for widget in [self._widget, *self._extra_widgets]:
            if widget is not None:
                widget.delete()
        self._widget, self._extra_widgets = None, []


def load_scripted_module(name: str, folders: list[Path]) -> qSlicerScriptedLoadableModule:
    """Find <name>.py in the folders or in <folder>/<name>/, run it and register it in slicer.modules."""
    candidates = [path for folder in folders for path in (folder / f"{name}.py", folder / name / f"{name}.py")]
    script = next((path for path in candidates if path.is_file()), None)
    if script is None:
        looked_in = ", ".join(str(folder) for folder in folders)
        raise FileNotFoundError(
            f"No scripted module '{name}' in {looked_in}; pass its folder to start_host(folders=...)"
        )
    if str(script.parent) not in sys.path:
        sys.path.append(str(script.parent))  # Slicer does so for every scripted module
    spec = importlib.util.spec_from_file_location(name, script)
    python_module = importlib.util.module_from_spec(spec)
    sys.modules[name] = python_module
    spec.loader.exec_module(python_module)
    module = qSlicerScriptedLoadableModule(name, script)
    getattr(python_module, name)(module)
    setattr(slicer.modules, name.lower(), module)
    setattr(slicer.modules, name + "Instance", module)
    slicer.app.moduleManager().moduleLoaded.emit(name)
    return module
