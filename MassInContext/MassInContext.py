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
    tuneCases: str = "[]"
    tuneLeftOut: str = "[]"
    tuneStartModel: str = "mass-tiny"
    tuneMode: str = "tokens"
    tuneMinutes: int = 10
    tuneName: str = ""
    tuneDevice: str = "auto"


class MassInContextWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: opened, closed, scene closed, reloaded."""

    def __init__(self, parent=None):
        self.logic = None
        self.setupStrip = None
        self.apply = None
        self.tune = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    @property
    def panels(self):
        """Both tabs, once they are there."""
        return [panel for panel in (self.apply, self.tune) if panel is not None]

    def setup(self):
        """Load the layouts and give them life."""
        from MaskWhatMattersLib.bridge.mass_apply_panel import MassApplyPanel
        from MaskWhatMattersLib.bridge.mass_tune_panel import MassTunePanel
        from MaskWhatMattersLib.bridge.widgets import SetupStrip

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MassInContext.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        tuneWidget = slicer.util.loadUI(self.resourcePath("UI/MassInContextTune.ui"))
        self.tuneUi = slicer.util.childWidgetVariables(tuneWidget)
        self.ui.tuneTab.layout().addWidget(tuneWidget)
        for widget in (uiWidget, tuneWidget):
            widget.setMRMLScene(slicer.mrmlScene)
        self.logic = MassInContextLogic()
        self.setupStrip = SetupStrip(self.ui, self.requiredPackages, self.onSetupChanged, self.onReady)
        self.apply = MassApplyPanel(self.ui, self.logic, self.setupStrip)
        self.tune = MassTunePanel(self.tuneUi, self.logic, self.setupStrip, self.useTask)
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
        self.setupStrip = self.apply = self.tune = None

    def enter(self):
        """Called when the user opens the module."""
        self.initializeParameterNode()

    def exit(self):
        """Called when the user goes to another module; a running job goes on."""
        for panel in self.panels:  # none after a reload, when Slicer may tell the panel from before it
            panel.leave()

    def useTask(self, path):
        """Go to the tab "Apply example" with a task chosen, as after it was tuned in the other tab."""
        self.apply.use_task(path)
        self.ui.tabs.setCurrentIndex(0)

    def requiredPackages(self):
        """Import names of the packages that the tab on screen needs."""
        panel = self.tune if self.ui.tabs.currentIndex == 1 else self.apply
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

    def tune(
        self,
        cases,
        segments=None,
        mode="tokens",
        minutes=10,
        wait=True,
        *,
        name="",
        startModel=None,
        device="auto",
        config=None,
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Fit a task to 3 to 10 cases; findings such as tumors need it, organs get better by it.

        One case or more are held out to measure the result. From five cases on, a plain network learns the same cases
        for as long, to compare with.

        Args:
            cases: Pairs of volume node and segmentation or label map node.
            segments: Names of the segments to learn; None takes all. Cases name the same structure alike.
            mode: What learns: "tokens", what is remembered of the examples; "head", the network's last layers, too;
                "full", everything.
            minutes: Budget, that of the plain network included.
            wait: Return when it is done; otherwise return at once.
            name: Of the task; empty takes one with today's date.
            startModel: Name or file of the model to start from; None takes the one that comes with the extension.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `MaskWhatMattersLib.mass.tune_config.MassTuneConfig` that differ from the default.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The path of the task file, which `applyExample` takes as `task`. With `wait=False` a run with `cancel()`,
            `done`, `state`, `model` (the task file), `steps`, `tuned` (Dice of each segment on the held-out cases:
            `labels`, `metrics`, `notes`); a cancel keeps what was learned.

        Raises:
            InputError: Cases, name or settings cannot be used; the message lists all problems.
            JobError: The tuning failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled before there was anything to keep.
        """
        from MaskWhatMattersLib.bridge.mass_tune_start import start_tuning

        run = start_tuning(
            cases,
            segments,
            start_model=startModel,
            mode=mode,
            minutes=minutes,
            device=device,
            name=name,
            config=config,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
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
