"""Slicer module MassInContext: mark something in one volume, find it in the others. The work is in MaskWhatMattersLib."""
# ruff: noqa: PT009, PT027  (the self test runs inside Slicer, without pytest)

import unittest

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MassInContext(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Mass In Context")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Plots", "Segmentations", "Sequences", "Volumes"]
        self.parent.contributors = ["The MaskWhatMatters contributors"]
        self.parent.helpText = _(
            "Use the segments of one volume as the example, and apply it to other volumes, a sequence or a folder. "
            "Correct a result and add it as another example. Pathology, such as tumors, needs the tab "
            '"Tune on my cases". Everything is computed on this computer unless you choose a Dask scheduler under '
            "Advanced. Not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The method is MASS, segmentation in context learned from automatic masks, implemented anew from its "
            "description. The data that a model learned from are named in its card."
        )


@parameterNodeWrapper
class MassInContextParameterNode:
    """What both tabs show; saved with the scene. Fields of the tab "Tune on my cases" begin with `tune`."""

    exampleSource: str = "scene"
    exampleVolume: slicer.vtkMRMLScalarVolumeNode
    exampleLabel: slicer.vtkMRMLDisplayableNode
    examples: str = "[]"
    leftOut: str = "[]"
    taskFile: str = ""
    targetKind: str = "volumes"
    targets: str = "[]"
    sequence: slicer.vtkMRMLSequenceNode
    folder: str = ""
    output: str = ""
    existing: str = "keep"
    model: str = "mass-tiny"
    modelFile: str = ""
    threshold: float = 0.5
    keepLargest: str = "auto"
    skipEmpty: bool = True
    quality: bool = True
    replaceNan: bool = False
    device: str = "auto"
    compute: str = "local"
    scheduler: str = ""
    tlsCa: str = ""
    tlsCert: str = ""
    tlsKey: str = ""


class MassInContextWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: opened, closed, scene closed, reloaded."""

    def __init__(self, parent=None):
        self.logic = None
        self.setupStrip = None
        self.apply = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    @property
    def panels(self):
        """The tabs, once they are there."""
        return [panel for panel in (self.apply,) if panel is not None]

    def setup(self):
        """Load the layout and give it life."""
        from MaskWhatMattersLib.bridge.mass_apply_panel import MassApplyPanel
        from MaskWhatMattersLib.bridge.widgets import SetupStrip

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MassInContext.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MassInContextLogic()
        self.setupStrip = SetupStrip(self.ui, self.requiredPackages, self.onSetupChanged, self.onReady)
        self.apply = MassApplyPanel(self.ui, self.logic, self.setupStrip)
        self.ui.tabs.connect("currentChanged(int)", lambda index: self.listModels())
        self.setupStrip.start()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()

    def cleanup(self):
        """Called before the panel is destroyed or the module is reloaded."""
        self.removeObservers()
        if self.setupStrip is not None:
            self.setupStrip.stop()
        for panel in self.panels:
            panel.close()
        self.setupStrip = self.apply = None

    def enter(self):
        """Called when the user opens the module."""
        self.initializeParameterNode()

    def exit(self):
        """Called when the user goes to another module; a running job goes on."""
        if self.apply is not None:  # after a reload, Slicer may tell the panel from before it
            self.apply.leave()

    def requiredPackages(self):
        """Import names of the packages that the tab on screen needs."""
        return self.apply.required_packages() if self.apply is not None else ()

    def listModels(self):
        """A model was made in the other tab, or the packages to read the cards are there now."""
        for panel in self.panels:
            panel.list_models()
        self.onSetupChanged()

    def onSetupChanged(self):
        """Packages were installed, or another tab needs others."""
        for panel in self.panels:
            panel.refresh()

    def onReady(self):
        """Nothing is missing: the worker starts while the user still chooses."""
        from MaskWhatMattersLib.bridge.jobs import warm_up_worker

        self.listModels()
        if self.logic.getParameterNode().compute == "local":
            warm_up_worker()

    def onSceneStartClose(self, caller, event):
        """The nodes are about to go: the job's monitor cancels it."""
        for panel in self.panels:
            panel.set_parameters(None)

    def onSceneEndClose(self, caller, event):
        """Start anew when the panel is on screen; `enter` does it otherwise."""
        for panel in self.panels:
            panel.on_scene_closed()
        if getattr(self.parent, "isEntered", True):
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        """A scene with our parameter node may have been loaded."""
        self.initializeParameterNode()

    def initializeParameterNode(self):
        """Follow the module's parameter node in the present scene."""
        for panel in self.panels:
            panel.set_parameters(self.logic.getParameterNode())


class MassInContextLogic(ScriptedLoadableModuleLogic):
    """What every button of the panel calls, for the Python console as well.

    Attributes:
        task: What the network remembers of the last example, or of the last task file; None before there is one.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.task = None

    def getParameterNode(self):
        """The module's parameters in the present scene, typed."""
        from MaskWhatMattersLib.bridge.parameter_nodes import wrapper_of

        return wrapper_of(super().getParameterNode(), MassInContextParameterNode)
