"""Slicer module CornSegmentation: the left atrium in a heart scan, and its volume. The work is in MaskWhatMattersLib."""
# ruff: noqa: PT009, PT027  (the self test runs inside Slicer, without pytest)

import unittest
from typing import Annotated

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class CornSegmentation(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Corn Segmentation")
        self.parent.categories = [
            translate("qSlicerAbstractCoreModule", "Segmentation"),
            translate("qSlicerAbstractCoreModule", "Cardiac"),
        ]
        self.parent.dependencies = ["Segmentations", "Volumes"]
        self.parent.contributors = ["The MaskWhatMatters contributors"]
        self.parent.helpText = _(
            "Marks the left atrium in gadolinium-enhanced MR scans of the heart and measures its volume. Two branches "
            "of the network look at each scan; where they disagree, please look closely. Everything is computed on "
            "this computer unless you choose a Dask scheduler under Advanced. Not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The method is CORN, semi-supervised segmentation with correlation between two networks, implemented anew "
            "from its description. The data that a model learned from are named in its card."
        )


@parameterNodeWrapper
class CornSegmentationParameterNode:
    """What both tabs show; saved with the scene. Fields of the tab "Adapt to my site" begin with `adapt`."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    wholeStudy: bool = False
    model: str = "left-atrium"
    modelFile: str = ""
    fieldOfView: str = "auto"
    mirrored: bool = False
    device: str = "auto"
    replaceNan: bool = False
    compute: str = "local"
    scheduler: str = ""
    tlsCa: str = ""
    tlsCert: str = ""
    tlsKey: str = ""
    showDisagreement: bool = False
    overlayOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    shownVolume: slicer.vtkMRMLScalarVolumeNode
    adaptLabelled: str = "[]"
    adaptUnlabelled: str = "[]"
    adaptStartModel: str = "left-atrium"
    adaptName: str = ""
    adaptMode: str = "ours"
    adaptMinutes: int = 60
    adaptValidationShare: Annotated[float, WithinRange(0.0, 0.5)] = 0.2
    adaptDevice: str = "auto"


class CornSegmentationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: opened, closed, scene closed, reloaded."""

    def __init__(self, parent=None):
        self.logic = None
        self.setupStrip = None
        self.segment = None
        self.adapt = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    @property
    def panels(self):
        """Both tabs, once they are there."""
        return [panel for panel in (self.segment, self.adapt) if panel is not None]

    def setup(self):
        """Load the layouts and give them life."""
        from MaskWhatMattersLib.bridge.corn_adapt_panel import CornAdaptPanel
        from MaskWhatMattersLib.bridge.corn_segment_panel import CornSegmentPanel
        from MaskWhatMattersLib.bridge.widgets import SetupStrip

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/CornSegmentation.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        adaptWidget = slicer.util.loadUI(self.resourcePath("UI/CornSegmentationAdapt.ui"))
        self.adaptUi = slicer.util.childWidgetVariables(adaptWidget)
        self.ui.adaptTab.layout().addWidget(adaptWidget)
        for widget in (uiWidget, adaptWidget):
            widget.setMRMLScene(slicer.mrmlScene)
        self.logic = CornSegmentationLogic()
        self.setupStrip = SetupStrip(self.ui, self.requiredPackages, self.onSetupChanged)
        self.segment = CornSegmentPanel(self.ui, self.logic, self.setupStrip)
        self.adapt = CornAdaptPanel(self.adaptUi, self.logic, self.setupStrip, self.segment.use_model)
        self.ui.tabs.connect("currentChanged(int)", lambda index: self.onSetupChanged())
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
        self.setupStrip = self.segment = self.adapt = None

    def enter(self):
        """Called when the user opens the module."""
        self.initializeParameterNode()

    def exit(self):
        """Called when the user goes to another module; a running job goes on."""

    def requiredPackages(self):
        """Import names of the packages that the tab on screen needs."""
        panel = self.adapt if self.ui.tabs.currentIndex == 1 else self.segment
        return panel.required_packages() if panel is not None else ()

    def onSetupChanged(self):
        """Packages were installed, or another tab needs others."""
        for panel in self.panels:
            panel.refresh()

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


class CornSegmentationLogic(ScriptedLoadableModuleLogic):
    """What every button of the panel calls, for the Python console as well."""

    def getParameterNode(self):
        """The module's parameters in the present scene, typed."""
        from MaskWhatMattersLib.bridge.parameter_nodes import wrapper_of

        return wrapper_of(super().getParameterNode(), CornSegmentationParameterNode)

    def shownVolume(self):
        """The volume in the background of the red slice view, else the first scan of the scene, else None."""
        from MaskWhatMattersLib.bridge.scene_views import shown_volume

        return shown_volume(slicer.mrmlScene)
