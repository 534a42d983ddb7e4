"""Slicer module MassInContext: mark something in one volume, find it in others. The work is in MaskWhatMattersLib."""
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

    def shownVolume(self):
        """The scan in the background of the red slice view, else the first scan of the scene, else None."""
        from MaskWhatMattersLib.bridge.scene_views import SCALAR_CLASSES, shown_volume

        return shown_volume(slicer.mrmlScene, SCALAR_CLASSES)

    def applyExample(
        self,
        referenceVolumeNode,
        referenceSegmentationNode,
        targets,
        segments=None,
        wait=True,
        *,
        task=None,
        existing="keep",
        output="",
        model=None,
        device="auto",
        settings=None,
        replaceNan=False,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Find in other scans what is marked in one.

        Args:
            referenceVolumeNode: Volume node of the example, or a list for several examples; None with `task`.
            referenceSegmentationNode: Segmentation or label map node of each of them; None with `task`.
            targets: Volume node, sequence node, file, folder, or a list of these; an empty list only learns the
                example, so that `saveTask` can keep it.
            segments: Names of the segments to look for; None takes all.
            wait: Return when it is done; otherwise return at once.
            task: Instead of an example, what `loadTask` gave, or the path of a task file.
            existing: "keep": found segments get a segmentation of their own beside existing ones; "overwrite": they
                replace segments of the same names; "lock": they join them, and no voxel that is marked changes.
            output: Folder for the label maps and the report of files; must lie apart from the scans.
            model: Name or file of a model; None takes the one that comes with the extension, or that of the task.
                To name one that is for research only is to acknowledge that.
            device: "auto", "cpu", "cuda" or "mps".
            settings: Fields of `MaskWhatMattersLib.mass.settings.SegmentSettings` that differ from the default.
            replaceNan: Give voxels without a number the darkest value instead of refusing the scan.
            scheduler: Address of a Dask scheduler; empty computes here.
            consent: Agreement to send voxels to `scheduler`.
            tlsFiles: Paths of CA, certificate and key for a scheduler that is reached by tls://.
            onEvent: Called with each event of the jobs.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The segmentation nodes that were made or updated; of a sequence, the sequence of segmentations. `results`
            has the figures. With `wait=False` a run with `cancel()`, `done`, `nodes`, `rows`, `errors`, `notes`. Of
            several targets, those that fail are left out and told of in the log.

        Raises:
            InputError: Example, targets or settings cannot be used; the message lists what.
            JobError: The job failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled while this waited, for example because the scene was closed.
        """
        from MaskWhatMattersLib.bridge.mass_apply_run import start_run

        def remember(run):
            self.task = run.task or self.task
            if onEnd is not None:
                onEnd(run)

        run = start_run(
            referenceVolumeNode,
            referenceSegmentationNode,
            targets,
            segments,
            task=task,
            existing=existing,
            output=output,
            model=model,
            device=device,
            settings=settings,
            replace_nan=replaceNan,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": remember},
        )
        return run.result() if wait else run

    def saveTask(self, path):
        """Keep the last example as a task file, without its images, to be applied later or elsewhere.

        Args:
            path: Ends in .task.safetensors; the ending is added where it is missing.

        Returns:
            The file.

        Raises:
            InputError: No example was applied and no task file loaded, or the file cannot be written.
        """
        from MaskWhatMattersLib.bridge.mass_apply_run import write_task_file

        return write_task_file(self.task, path)

    def loadTask(self, path):
        """Read a task file; `applyExample` takes what this returns.

        Raises:
            InputError: No task file, or it is damaged.
        """
        from MaskWhatMattersLib.bridge.mass_apply_run import read_task_file

        self.task = read_task_file(path)
        return self.task

    def results(self):
        """Figures of every segment in the scene that came of an example, worst quality first.

        Returns:
            `ExampleRow` of each: target, segment, volume_ml, quality, notes, model, edited, volume_node, node,
            segment_id, frame.
        """
        from MaskWhatMattersLib.bridge.mass_results import example_rows, worst_first
        from MaskWhatMattersLib.bridge.mass_sequences import sequence_rows

        return worst_first([*example_rows(slicer.mrmlScene), *sequence_rows(slicer.mrmlScene)])


class MassInContextTest(ScriptedLoadableModuleTest):
    """Self test: the whole path on scans made here, with the model that comes with the extension."""

    def runTest(self):
        """Run every test in a fresh scene."""
        for test in (self.test_segment_is_found_in_another_volume, self.test_missing_example_is_refused):
            slicer.mrmlScene.Clear()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"Skipped: {reason}")

    def test_segment_is_found_in_another_volume(self):
        """A target gets a segmentation with the example's segment and a row of figures; a second run updates it."""
        from MaskWhatMattersLib.bridge.mass_apply_run import PACKAGES
        from MaskWhatMattersLib.bridge.mass_models import DEFAULT_MODEL, mass_models
        from MaskWhatMattersLib.bridge.setup import missing_packages

        missing = missing_packages(PACKAGES)
        if missing:
            self.skipTest(f"packages are not installed: {', '.join(missing)}")
        if DEFAULT_MODEL not in [model.name for model in mass_models()]:
            self.skipTest(f"the weights {DEFAULT_MODEL} are not there")
        self.delayDisplay("Looking for the ball")
        example, marked = self._scan("example", 0.0)
        target, _marked = self._scan("target", 0.2)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "ball of the example")
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(example)
        segmentId = segmentation.GetSegmentation().AddEmptySegment("", "Ball")
        slicer.util.updateSegmentBinaryLabelmapFromArray(marked, segmentation, segmentId, example)
        logic = MassInContextLogic()
        nodes = logic.applyExample(example, segmentation, [target])
        self.assertEqual([node.GetName() for node in nodes], ["target by example"])
        (row,) = logic.results()
        self.assertEqual((row.target, row.segment), ("target", "Ball"))
        again = logic.applyExample(None, None, [target], task=logic.task)
        self.assertEqual([node.GetID() for node in again], [node.GetID() for node in nodes])
        self.delayDisplay("Done")

    def test_missing_example_is_refused(self):
        """Without an example there is a clear message and no node."""
        target, _marked = self._scan("target", 0.0)
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "a volume with its segmentation"):
            MassInContextLogic().applyExample(None, None, [target])
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def _scan(self, name, shift):
        """A bright ball in noise, and where it is."""
        import numpy as np

        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        z, y, x = np.ogrid[-1:1:40j, -1:1:48j, -1:1:48j]
        ball = z**2 + y**2 + (x - shift) ** 2 < 0.2
        noise = np.random.default_rng(0).normal(200, 20, ball.shape)
        slicer.util.updateVolumeFromArray(volumeNode, (noise + 300 * ball).astype(np.int16))
        matrix = vtk.vtkMatrix4x4()
        for axis, spacing in enumerate((-2.0, -2.0, 2.0)):
            matrix.SetElement(axis, axis, spacing)
        volumeNode.SetIJKToRASMatrix(matrix)
        volumeNode.CreateDefaultDisplayNodes()
        return volumeNode, ball.astype(np.uint8)
