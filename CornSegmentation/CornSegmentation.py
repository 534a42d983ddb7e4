"""Slicer module CornSegmentation: the left atrium in a scan, and its volume. The work is in MaskWhatMattersLib."""
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
        self.parent.dependencies = ["Plots", "Segmentations", "Volumes"]
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
    adaptMinutes: int = 30
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
        self.setupStrip = SetupStrip(self.ui, self.requiredPackages, self.onSetupChanged, self.onReady)
        self.segment = CornSegmentPanel(self.ui, self.logic, self.setupStrip)
        self.adapt = CornAdaptPanel(self.adaptUi, self.logic, self.setupStrip, self.useModel)
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
        self.setupStrip = self.segment = self.adapt = None

    def enter(self):
        """Called when the user opens the module."""
        self.initializeParameterNode()

    def exit(self):
        """Called when the user goes to another module; a running job goes on."""
        if self.segment is not None:  # after a reload, Slicer may tell the panel from before it
            self.segment.leave()

    def useModel(self, name):
        """Go to the tab "Segment" with a model chosen, as after it was made in the other tab."""
        self.segment.use_model(name)
        self.ui.tabs.setCurrentIndex(0)

    def requiredPackages(self):
        """Import names of the packages that the tab on screen needs."""
        panel = self.adapt if self.ui.tabs.currentIndex == 1 else self.segment
        return panel.required_packages() if panel is not None else ()

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


class CornSegmentationLogic(ScriptedLoadableModuleLogic):
    """What every button of the panel calls, for the Python console as well."""

    def getParameterNode(self):
        """The module's parameters in the present scene, typed."""
        from MaskWhatMattersLib.bridge.parameter_nodes import wrapper_of

        return wrapper_of(super().getParameterNode(), CornSegmentationParameterNode)

    def shownVolume(self):
        """The scan in the background of the red slice view, else the first scan of the scene, else None."""
        from MaskWhatMattersLib.bridge.scene_views import SCALAR_CLASSES, shown_volume

        return shown_volume(slicer.mrmlScene, SCALAR_CLASSES)

    def segment(
        self,
        volumeNode,
        wait=True,
        model=None,
        fieldOfView="auto",
        *,
        mirrored=False,
        device="auto",
        bodySurface=None,
        replaceNan=False,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Segment the left atrium of one scan or of several, and measure it.

        Args:
            volumeNode: vtkMRMLScalarVolumeNode, or a list of them; linear transforms above them are taken into account.
            wait: Return when it is done; otherwise return at once.
            model: Name or file of a model; None takes the one that comes with the extension. To name one that is for
                research only is to acknowledge that.
            fieldOfView: "auto", "crop" (around the heart) or "full" (the atrium is found first).
            mirrored: Average over mirrored scans: slower, sometimes a little better.
            device: "auto", "cpu", "cuda" or "mps".
            bodySurface: Body surface of the patient, m2, for the indexed volume.
            replaceNan: Give voxels without a number the darkest value instead of refusing the scan.
            scheduler: Address of a Dask scheduler; empty computes here.
            consent: Agreement to send voxels to `scheduler`.
            tlsFiles: Paths of CA, certificate and key for a scheduler that is reached by tls://.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The nodes that were made or updated: segmentation and disagreement overlay of each scan; `measurements` has
            their figures. With `wait=False` a run with `cancel()`, `done`, `nodes`, `rows`, `errors`. Of several scans,
            those that fail are left out and told of in the log.

        Raises:
            InputError: Scan, model or address cannot be used; the message says what to do.
            JobError: The job failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled while this waited, for example because the scene was closed.
        """
        from MaskWhatMattersLib.bridge.corn_segment_run import start_segmentation

        run = start_segmentation(
            volumeNode,
            model=model,
            field_of_view=fieldOfView,
            mirrored=mirrored,
            device=device,
            body_surface_m2=bodySurface,
            replace_nan=replaceNan,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
        )
        return run.result() if wait else run

    def adapt(
        self,
        labelled,
        unlabelled=(),
        startModel=None,
        minutes=30,
        wait=True,
        *,
        name="",
        mode="ours",
        device="auto",
        config=None,
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Train a model for the left atrium on scans of your own, starting from another model or from scratch.

        Args:
            labelled: Pairs (volume node, segmentation or label map node), or (file, file); a third value names the
                segment. From four pairs on the last fifth is held out to measure the result.
            unlabelled: Volume nodes or files to learn from without labels.
            startModel: Name or file of the model to adapt; None trains from scratch.
            minutes: Budget for the training, without reading the scans.
            wait: Return when it is done; otherwise return at once.
            name: Of the new model; empty takes one with today's date.
            mode: "ours", "paper", "code", "mean_teacher" or "supervised"; without unlabelled scans always the last.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `MaskWhatMattersLib.corn.config.CornTrainingConfig` that differ from the default.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The name of the model, which `segment` takes and which both lists show. With `wait=False` a run with
            `cancel()`, `done`, `state`, `name`, `model` (path of the file), `steps`, `dice`; a cancel keeps the model
            as far as it was trained.

        Raises:
            InputError: Scans, name or settings cannot be used; the message lists all problems.
            JobError: The training failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled before there was a model.
        """
        from MaskWhatMattersLib.bridge.corn_adapt_start import start_adaptation

        run = start_adaptation(
            labelled,
            unlabelled,
            start_model=startModel,
            minutes=minutes,
            mode=mode,
            device=device,
            name=name,
            config=config,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
        )
        return run.result() if wait else run

    def measurements(self):
        """Figures of every left atrium in the scene.

        Returns:
            `AtriumRow` of each: volume_node, segmentation, volume_ml, indexed_ml_m2, agreement, review,
            review_reasons, model.
        """
        from MaskWhatMattersLib.bridge.corn_results import atrium_rows

        return atrium_rows(slicer.mrmlScene)


class CornSegmentationTest(ScriptedLoadableModuleTest):
    """Self test: the whole path on a scan made here, with the model that comes with the extension."""

    def runTest(self):
        """Run every test in a fresh scene."""
        for test in (self.test_scan_becomes_segmentation_and_figures, self.test_bad_volume_is_refused):
            slicer.mrmlScene.Clear()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"Skipped: {reason}")

    def test_scan_becomes_segmentation_and_figures(self):
        """A scan gets a segmentation on its own grid, with a volume and an agreement; a second run updates it."""
        from MaskWhatMattersLib.bridge.corn_models import DEFAULT_MODEL, corn_models
        from MaskWhatMattersLib.bridge.corn_segment_run import PACKAGES
        from MaskWhatMattersLib.bridge.setup import missing_packages

        missing = missing_packages(PACKAGES)
        if missing:
            self.skipTest(f"packages are not installed: {', '.join(missing)}")
        if DEFAULT_MODEL not in [model.name for model in corn_models()]:
            self.skipTest(f"the weights {DEFAULT_MODEL} are not there")
        self.delayDisplay("Looking for the left atrium")
        volumeNode = self._scan()
        logic = CornSegmentationLogic()
        nodes = logic.segment(volumeNode, fieldOfView="crop", bodySurface=2.0)
        segmentation, overlay = nodes
        self.assertEqual(segmentation.GetName(), "scan left atrium")
        self.assertEqual(slicer.util.arrayFromVolume(overlay).shape, slicer.util.arrayFromVolume(volumeNode).shape)
        (row,) = logic.measurements()
        self.assertIs(row.segmentation, segmentation)
        self.assertAlmostEqual(row.indexed_ml_m2, row.volume_ml / 2.0)
        again = logic.segment(volumeNode, fieldOfView="crop")
        self.assertEqual([node.GetID() for node in again], [node.GetID() for node in nodes])
        self.delayDisplay("Found it")

    def test_bad_volume_is_refused(self):
        """A volume without voxels gives a clear message and no node."""
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "has no voxels"):
            CornSegmentationLogic().segment(empty)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def _scan(self):
        import numpy as np

        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        grid = np.ogrid[-1:1:40j, -1:1:64j, -1:1:64j]
        ball = 400 * (sum(axis**2 for axis in grid) < 0.2)
        noise = np.random.default_rng(0).normal(200, 20, (40, 64, 64))
        slicer.util.updateVolumeFromArray(volumeNode, (noise + ball).astype(np.int16))
        matrix = vtk.vtkMatrix4x4()
        for axis, spacing in enumerate((-1.5, -1.5, 2.5)):
            matrix.SetElement(axis, axis, spacing)
        volumeNode.SetIJKToRASMatrix(matrix)
        volumeNode.CreateDefaultDisplayNodes()
        return volumeNode
