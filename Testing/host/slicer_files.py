"""Puts `slicer.ScriptedLoadableModule` and its siblings in place: ours, or Slicer's own where a folder is given."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
from pathlib import Path
from typing import Any

import slicer

REAL_FILES_VARIABLE = "WHATMATTERS_SLICER_PYTHON"
_NAMES = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper", "packaging")


def real_files_folder() -> Path | None:
    """Folder that holds Slicer's own ScriptedLoadableModule.py, when the environment names one."""
    named = os.environ.get(REAL_FILES_VARIABLE, "")
    if not named:
        return None
    for folder in (Path(named), Path(named) / "slicer"):
        if (folder / "ScriptedLoadableModule.py").is_file():
            return folder
    raise RuntimeError(
        f"{REAL_FILES_VARIABLE} is {named}, but no ScriptedLoadableModule.py lies there or in its slicer/"
    )


def install_slicer_files(packaging: Any) -> None:
    """Import or register the four modules; `packaging` is our recording stand-in for slicer.packaging."""
    folder = real_files_folder()
    if folder is not None:
        # Appended after the import of slicer: its __init__ eagerly imports whatever it finds on its path.
        slicer.__path__.append(str(folder))
        sys.modules.setdefault("qSlicerSubjectHierarchyModuleWidgetsPythonQt", _subject_hierarchy_widgets())
        for name in _NAMES[:3]:
            setattr(slicer, name, importlib.import_module(f"slicer.{name}"))
    else:
        from . import parameter_node, scripted_module

        _register("i18n", _translation())
        _register("ScriptedLoadableModule", scripted_module)
        _register("parameterNodeWrapper", parameter_node)
    # Packages are never really installed, whichever files are used.
    sys.meta_path.insert(0, _OnImport("slicer.packaging", packaging))


class _OnImport(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives out a module at its first import; until then it is no attribute of its package, as in Slicer."""

    def __init__(self, name: str, module: Any) -> None:
        self.name, self.module = name, module

    def find_spec(self, fullname: str, *_: Any) -> Any:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == self.name else None

    def create_module(self, _spec: Any) -> Any:
        return self.module

    def exec_module(self, _module: Any) -> None:
        pass


def _register(name: str, module: Any) -> None:
    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)


def _translation() -> types.ModuleType:
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text, *_: text
    module.translate = lambda _context, text, *_: text
    return module


def _subject_hierarchy_widgets() -> types.ModuleType:
    module = types.ModuleType("qSlicerSubjectHierarchyModuleWidgetsPythonQt")
    module.qMRMLSubjectHierarchyTreeView = slicer.qMRMLSubjectHierarchyTreeView
    return module
