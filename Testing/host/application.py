"""`slicer.app` and `slicer.modules`: the parts of the Slicer application that a scripted module talks to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import Property, QObject, QProcessEnvironment, QSettings, Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QApplication, QMainWindow

from .io_manager import CoreIOManager
from .layout import LayoutManager
from .pythonqt import register_native

# Module name in slicer.modules -> class of the real logic. Colors comes first: Volumes asks for it.
CORE_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Units": "vtkSlicerUnitsLogic",
}


class Modules:
    """`slicer.modules`: one attribute per module, in lower case."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"slicer.modules has no '{name}'; the test host knows {', '.join(sorted(vars(self)))}")


class CoreModule:
    """A C++ module: its real logic, no panel."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = self.title = name
        self.path = ""
        self._logic = logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


@register_native
class ModuleManager(QObject):
    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)

    def module(self, name: str) -> Any:
        return vars(slicer.modules).get(name.lower())

    def modulesNames(self) -> list[str]:
        return [module.name for name, module in vars(slicer.modules).items() if name == name.lower()]

    def factoryManager(self) -> Any:
        return self

    def loadedModuleNames(self) -> list[str]:
        return self.modulesNames()


@register_native
class qSlicerApplication(QApplication):
    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)
    temporaryPath = Property(
        str, lambda self: self._host_temporary_path, lambda self, path: self.__dict__.update(_host_temporary_path=path)
    )
    slicerHome = Property(str, lambda self: self._host_temporary_path)
    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 13)
    revision = Property(str, lambda self: "0")
    os = Property(str, lambda self: {"linux": "linux", "darwin": "macosx", "win32": "win"}[sys.platform])
    intermediateSettings = Property(str, lambda self: "")

    def __init__(self) -> None:
        super().__init__(["Slicer"])
        self.setApplicationName("Slicer")
        self.setApplicationVersion("5.13.0")
        self.setOrganizationName("NA-MIC")
        self._host_temporary_path = ""
        self._host_testing = False
        self._host_paused = 0
        self._host_exit_code = None
        self._host_logic = slicer.vtkSlicerApplicationLogic()
        self._host_modules = ModuleManager(self)
        self._host_io = CoreIOManager(self)
        self._host_layout = LayoutManager(self)
        self._host_window = QMainWindow()
        self._host_window.setObjectName("qSlicerMainWindow")
        self._host_window.setWindowTitle("Test host")

    def testingEnabled(self) -> bool:
        return self._host_testing

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def applicationLogic(self) -> Any:
        return self._host_logic

    def moduleManager(self) -> ModuleManager:
        return self._host_modules

    def coreIOManager(self) -> CoreIOManager:
        return self._host_io

    def ioManager(self) -> CoreIOManager:
        return self._host_io

    def layoutManager(self) -> LayoutManager:
        return self._host_layout

    def settings(self) -> QSettings:
        return QSettings()

    userSettings = revisionUserSettings = settings

    def startupEnvironment(self) -> QProcessEnvironment:
        return QProcessEnvironment.systemEnvironment()

    def pauseRender(self) -> None:
        self._host_paused += 1

    def resumeRender(self) -> None:
        self._host_paused -= 1

    def pythonConsole(self) -> None:
        return None

    def moduleDocumentationUrl(self, module_name: str) -> str:
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{module_name.lower()}.html"

    def openNodeModule(self, _node: Any) -> None:
        pass

    def restart(self) -> None:
        self._host_exit_code = "restart"


def make_readable() -> None:
    """Text in screenshots: the offscreen platform may come without a single font."""
    if not QFontDatabase.families():
        import matplotlib

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf"):
            QFontDatabase.addApplicationFont(str(folder / name))
    font = QApplication.font()
    font.setFamily("DejaVu Sans" if "DejaVu Sans" in QFontDatabase.families() else font.family())
    font.setPointSize(9)
    QApplication.setFont(font)


def make_core_modules(application: qSlicerApplication, scene: Any) -> Modules:
    """Real logics over the scene, wired as in Slicer: the application logic, then each module's."""
    modules = Modules()
    application_logic = application.applicationLogic()
    application_logic.SetMRMLScene(scene)
    application_logic.SetTemporaryPath(application.temporaryPath)
    # Color tables and terminologies are files of an installed Slicer; without them each logic complains aloud.
    slicer.vtkMRMLScene.GlobalWarningDisplayOff()
    for name, class_name in CORE_LOGICS.items():
        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(application_logic)
        application_logic.SetModuleLogic(name, logic)
        if name == "Colors":
            application_logic.SetColorLogic(logic)
        logic.SetMRMLScene(scene)
        setattr(modules, name.lower(), CoreModule(name, logic))
    slicer.vtkMRMLScene.GlobalWarningDisplayOn()
    return modules
