"""The host itself: one application, one scene, and what a test does with a module."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .libraries import explain_missing, missing_packages

_MRML_WIDGETS = (
    "qMRMLWidget",
    "qSlicerWidget",
    "qMRMLNodeComboBox",
    "qMRMLSliderWidget",
    "qMRMLSubjectHierarchyTreeView",
    "qSlicerScriptedLoadableModuleWidget",
)
_PLOT_WIDGETS = ("qMRMLPlotView",)
_SEGMENT_WIDGETS = ("qMRMLSegmentsTableView", "qMRMLSegmentationShow3DButton", "qMRMLSegmentSelectorWidget")


class Host:
    """Slicer without Slicer; see the package's docstring for how a test uses it."""

    def __init__(self, folders: list[Path]) -> None:
        if missing := missing_packages():
            raise RuntimeError(explain_missing(missing))
        from .dialogs import Dialogs
        from .installations import Installations

        self.folders = folders
        self.dialogs = Dialogs()
        self.installations = Installations()
        self.escaped: list[BaseException] = []  # what slots and observers raised
        self.opened: list[str] = []
        self._build()

    def _build(self) -> None:
        from . import pythonqt

        pythonqt.make_pythonqt_like()
        import slicer
        import slicer.util

        from . import ctk_widgets, mrml_widgets, plot_widgets, qt_module, segment_widgets, ui_loader
        from .application import make_readable, qSlicerApplication
        from .dialogs import script_modal_dialogs
        from .installations import make_packaging, make_sample_data, make_torch_utils
        from .scripted_loading import qSlicerScriptedLoadableModule
        from .slicer_files import install_slicer_files

        self.folder = Path(tempfile.mkdtemp(prefix="wmh-"))
        pythonqt.QtCore.QSettings.setDefaultFormat(pythonqt.QtCore.QSettings.IniFormat)
        for scope in (pythonqt.QtCore.QSettings.UserScope, pythonqt.QtCore.QSettings.SystemScope):
            pythonqt.QtCore.QSettings.setPath(pythonqt.QtCore.QSettings.IniFormat, scope, str(self.folder / "settings"))
        for names, module in (
            (_MRML_WIDGETS, mrml_widgets),
            (_SEGMENT_WIDGETS, segment_widgets),
            (_PLOT_WIDGETS, plot_widgets),
        ):
            for name in names:
                setattr(slicer, name, getattr(module, name))
                ui_loader.widget_classes[name] = getattr(module, name)
        for name in ctk_widgets.__all__:
            ui_loader.widget_classes[name] = getattr(ctk_widgets, name)
        slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
        qt_module.install_qt_modules()
        script_modal_dialogs(self.dialogs)
        slicer.app = qSlicerApplication()
        make_readable()
        self._provide_python_slicer()
        self._new_scene(slicer)
        install_slicer_files(make_packaging(self.dialogs, self.installations))
        sys.modules["SampleData"] = make_sample_data()
        sys.modules["PyTorchUtils"] = make_torch_utils(self.dialogs, self.installations)
        sys.excepthook = self._record
        sys.unraisablehook = lambda unraisable: self._record(
            unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback
        )
        self.slicer = slicer

    def _new_scene(self, slicer: Any) -> None:
        from .application import make_core_modules
        from .subject_hierarchy import follow_scene

        slicer.mrmlScene = slicer.vtkMRMLScene()
        slicer.app.temporaryPath = str(self._fresh_folder("temporary"))
        cache = slicer.vtkCacheManager()  # where scene bundles are unpacked
        cache.SetRemoteCacheDirectory(str(self._fresh_folder("cache")))
        slicer.mrmlScene.SetCacheManager(cache)
        manager = slicer.vtkDataIOManager()
        manager.SetCacheManager(cache)
        slicer.mrmlScene.SetDataIOManager(manager)
        slicer.modules = make_core_modules(slicer.app, slicer.mrmlScene)
        slicer.app.layoutManager().host_set_scene(slicer.mrmlScene)
        follow_scene(slicer.mrmlScene)

    def _fresh_folder(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _provide_python_slicer(self) -> None:
        """An executable called PythonSlicer on PATH, which slicer.util and our worker look for."""
        folder = self._fresh_folder("bin")
        script = folder / "PythonSlicer"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        script.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"

    def _record(self, _kind: Any, error: BaseException, trace: Any) -> None:
        self.escaped.append(error)
        traceback.print_exception(error)

    # ---- modules -----------------------------------------------------------------------------------------------

    def load_module(self, name: str) -> Any:
        """Import the module and register it in slicer.modules without building its panel."""
        from .scripted_loading import load_scripted_module

        if name.lower() not in vars(self.slicer.modules):
            load_scripted_module(name, self.folders)
        return getattr(self.slicer.modules, name.lower())

    def open_module(self, name: str) -> Any:
        """Show the module's panel (setup the first time, then enter) and return its Python widget."""
        for other in self.opened:
            if other != name:
                self.leave_module(other)
        panel = self.load_module(name).widgetRepresentation()
        if name not in self.opened:
            self.opened.append(name)
        panel.resize(420, 900)
        panel.show()
        if not panel.isEntered:
            panel.enter()
        self.process_events()
        return panel.self()

    def leave_module(self, name: str) -> None:
        """The user goes to another module: exit."""
        panel = self.load_module(name).widgetRepresentation()
        if panel.isEntered:
            panel.exit()
        panel.hide()
        self.process_events()

    def second_window(self, name: str) -> Any:
        """A second panel of the same module, as slicer.util.getNewModuleWidget makes it."""
        widget = self.slicer.util.getNewModuleWidget(name)
        widget.parent.show()
        self.process_events()
        return widget

    def reload_module(self, name: str) -> Any:
        """What the Reload button of developer mode does; returns the new Python widget."""
        self.slicer.util.reloadScriptedModule(name)
        self.process_events()
        return self.load_module(name).widgetRepresentation().self()

    def close_module(self, name: str) -> None:
        """Exit, cleanup and deletion, as when Slicer ends."""
        self.leave_module(name)
        self.slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(name)
        self.slicer.modules.__dict__[name.lower()].host_delete_widgets()
        for attribute in (name.lower(), name + "Instance", name + "Widget"):
            self.slicer.modules.__dict__.pop(attribute, None)
        sys.modules.pop(name, None)
        self.opened.remove(name)
        self.process_events()

    # ---- scene -------------------------------------------------------------------------------------------------

    def close_scene(self) -> None:
        """File / Close Scene: StartClose and EndClose are the scene's own."""
        self.slicer.mrmlScene.Clear(0)
        self.process_events()

    def save_scene(self, path: Path) -> None:
        if not self.slicer.util.saveScene(str(path)):
            raise RuntimeError(f"The scene could not be written to {path}")

    def load_scene(self, path: Path) -> None:
        """Close the scene and open the one in the file."""
        self.close_scene()
        self.import_scene(path)

    def import_scene(self, path: Path) -> None:
        """Add the scene in the file to the one that is open; MRML gives its nodes new IDs where theirs are taken."""
        if not self.slicer.app.coreIOManager().loadNodes("SceneFile", {"fileName": str(path)}, None):
            raise RuntimeError(f"The scene could not be read from {path}")
        self.process_events()

    def add_volume(self, array: Any, name: str = "Volume", ijk_to_ras: Any = None, node_class: str = "") -> Any:
        """A scalar volume node from an array [k, j, i], with display node, selected in the slice views."""
        matrix = np.eye(4) if ijk_to_ras is None else ijk_to_ras
        node = self.slicer.util.addVolumeFromArray(
            np.asarray(array), self.slicer.util.vtkMatrixFromArray(matrix), name, node_class or None
        )
        node.CreateDefaultDisplayNodes()
        return node

    # ---- time --------------------------------------------------------------------------------------------------

    def process_events(self) -> None:
        from PySide6.QtCore import QCoreApplication, QEvent

        self.slicer.app.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.DeferredDelete)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Run the event loop until the condition holds; an AssertionError after the time."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"Waited {timeout_s} s in vain for {getattr(condition, '__name__', condition)}")
            self.process_events()
            time.sleep(0.005)

    # ---- what went wrong, and what a person would see ------------------------------------------------------------

    @property
    def testing(self) -> bool:
        """Slicer's --testing switch: off by default, so that the real code of the dialogs runs."""
        return self.slicer.app.testingEnabled()

    @testing.setter
    def testing(self, enabled: bool) -> None:
        self.slicer.app._host_testing = enabled

    @contextmanager
    def expecting(self, error: type[BaseException], match: str = "") -> Any:
        """The block makes a slot raise this error (Slicer would only print it)."""
        before = len(self.escaped)
        yield
        new = self.escaped[before:]
        del self.escaped[before:]
        if not any(isinstance(raised, error) and match in str(raised) for raised in new):
            raise AssertionError(f"No slot raised {error.__name__} with '{match}'; raised were {new}")

    def check_nothing_escaped(self) -> None:
        """Fails on an error that a slot raised, or on a question that no scripted answer waited for."""
        problems = [f"a slot raised {error!r}" for error in self.escaped]
        problems += [f"nobody answered: {dialog.title}: {dialog.text}" for dialog in self.dialogs.unanswered]
        if problems:
            raise AssertionError("; ".join(problems))

    def screenshot(self, widget: Any, path: Path) -> Path:
        """PNG of a Python widget's panel or of any Qt widget."""
        qt_widget = widget if hasattr(widget, "isWidgetType") else widget.parent
        self.process_events()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not qt_widget.grab().save(str(path)):
            raise RuntimeError(f"The screenshot could not be written to {path}")
        return Path(path)

    def render_slice(
        self,
        background: Any = None,
        foreground: Any = None,
        path: Path | None = None,
        *,
        opacity: float = 0.5,
        view: str = "Red",
        offset_mm: float | None = None,
        size: tuple[int, int] = (400, 400),
    ) -> np.ndarray:
        """Picture [H, W, 3] of a slice view; without nodes, of what the module chose to show there."""
        from .render import render_slice

        composite = self.slicer.app.layoutManager().sliceWidget(view).mrmlSliceCompositeNode()
        if background is not None:
            composite.SetBackgroundVolumeID(background.GetID())
        if foreground is not None:
            composite.SetForegroundVolumeID(foreground.GetID())
            composite.SetForegroundOpacity(opacity)
        return render_slice(view, path, offset_mm, size)

    def render_3d(self, path: Path | None = None, size: tuple[int, int] = (400, 400)) -> np.ndarray:
        """Picture [H, W, 3] of the 3D view, camera in front of everything visible."""
        from .render import render_3d

        return render_3d(path, size)

    def reset(self) -> None:
        """A clean start for the next test: modules closed, scene new, records empty, settings forgotten."""
        for name in list(self.opened):
            self.close_module(name)
        self.close_scene()
        self._new_scene(self.slicer)
        from PySide6.QtCore import QSettings

        QSettings().clear()
        self.testing = False
        self.dialogs.clear()
        self.installations.clear()
        self.escaped.clear()
