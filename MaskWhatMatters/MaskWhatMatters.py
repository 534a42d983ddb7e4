"""Slicer module MaskWhatMatters: type a prompt, see where in the volume it is. The work is in MaskWhatMattersLib."""
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


class MaskWhatMatters(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Mask What Matters")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Volumes", "Markups", "Plots"]
        self.parent.contributors = ["The MaskWhatMatters contributors"]
        self.parent.helpText = _(
            "Type what matters in a scan, for example <i>left lung</i> or <i>brain tumor</i>, and see where it is: as "
            "a relevance map and as a segmentation. Let a network learn from scans without labels, hiding more of what "
            "matters, and finetune it on a few labelled ones. Everything is computed on this computer unless you "
            "choose a Dask scheduler under Advanced. Not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The relevance network and its training data are described in the model card that comes with the weights."
        )


@parameterNodeWrapper
class MaskWhatMattersParameterNode:
    """What the tabs show; saved with the scene. Fields of Pretrain and Finetune begin with the tab's name."""

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    prompts: str = ""
    localizer: str = "builtin"
    regionNode: slicer.vtkMRMLNode
    segmentId: str = ""
    overlayOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    device: str = "auto"
    modality: str = ""
    model: str = ""
    replaceNan: bool = False
    compute: str = "local"
    scheduler: str = ""
    tlsCa: str = ""
    tlsCert: str = ""
    tlsKey: str = ""
    resultVolume: slicer.vtkMRMLScalarVolumeNode
    results: str = "[]"
    pretrainDims: int = 3
    pretrainSource: str = "scene"
    pretrainScans: str = "[]"
    pretrainFolder: str = ""
    pretrainPrompts: str = ""
    pretrainInside: Annotated[float, WithinRange(0.0, 100.0)] = 60.0
    pretrainOutside: Annotated[float, WithinRange(0.0, 100.0)] = 20.0
    pretrainRatio: Annotated[float, WithinRange(0.0, 100.0)] = 75.0
    pretrainEqualBudget: bool = False
    pretrainLocalizer: str = "builtin"
    pretrainMargin: Annotated[int, WithinRange(0, 100)] = 0
    pretrainMethod: str = "mae"
    pretrainPreset: str = "fast"
    pretrainMinutes: Annotated[int, WithinRange(0, 100000)] = 0
    pretrainName: str = ""
    pretrainDevice: str = "auto"
    pretrainPaused: str = ""
    finetuneTask: str = "segmentation"
    finetuneStartModel: str = ""
    finetuneDims: int = 3
    finetuneSource: str = "scene"
    finetuneLabelled: str = "[]"
    finetuneFolder: str = ""
    finetuneValidation: int = 20
    finetunePreset: str = "fast"
    finetuneMinutes: int = 30
    finetuneName: str = ""
    finetuneDevice: str = "auto"


class MaskWhatMattersWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: opened, closed, scene closed, reloaded."""

    def __init__(self, parent=None):
        self.logic = None
        self.setupStrip = None
        self.panel = None
        self.pretrain = None
        self.finetune = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    @property
    def panels(self):
        """The tabs Relevance, Pretrain and Finetune, once they are there."""
        return [panel for panel in (self.panel, self.pretrain, self.finetune) if panel is not None]

    def setup(self):
        """Load the layouts and give them life."""
        from MaskWhatMattersLib.bridge.finetune_panel import FinetunePanel
        from MaskWhatMattersLib.bridge.pretrain_panel import PretrainPanel
        from MaskWhatMattersLib.bridge.relevance_panel import RelevancePanel
        from MaskWhatMattersLib.bridge.widgets import SetupStrip

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MaskWhatMatters.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        pretrainWidget = slicer.util.loadUI(self.resourcePath("UI/MaskWhatMattersPretrain.ui"))
        finetuneWidget = slicer.util.loadUI(self.resourcePath("UI/MaskWhatMattersFinetune.ui"))
        self.pretrainUi = slicer.util.childWidgetVariables(pretrainWidget)
        self.finetuneUi = slicer.util.childWidgetVariables(finetuneWidget)
        self.ui.pretrainTab.layout().addWidget(pretrainWidget)
        self.ui.finetuneTab.layout().addWidget(finetuneWidget)
        for widget in (uiWidget, pretrainWidget, finetuneWidget):
            widget.setMRMLScene(slicer.mrmlScene)
        self.logic = MaskWhatMattersLogic()
        self.setupStrip = SetupStrip(self.ui, self.requiredPackages, self.onSetupChanged, self.onReady)
        icons = [self.resourcePath(f"Icons/MaskWhatMatters{name}.png") for name in ("Shown", "Hidden")]
        self.panel = RelevancePanel(self.ui, self.logic, self.setupStrip, tuple(icons))
        self.pretrain = PretrainPanel(self.pretrainUi, self.logic, self.setupStrip, self.finetuneModel)
        self.finetune = FinetunePanel(self.finetuneUi, self.logic, self.setupStrip, self.useFinetuned)
        self.ui.tabs.connect("currentChanged(int)", lambda index: self.onTab())
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
        self.setupStrip = self.panel = self.pretrain = self.finetune = None

    def enter(self):
        """Called when the user opens the module."""
        self.initializeParameterNode()
        self.onTab()

    def exit(self):
        """Called when the user goes to another module; a running job goes on, previews do not."""
        for panel in (self.pretrain, self.finetune):
            if panel is not None:  # after a reload, Slicer may tell the panel from before it
                panel.leave()

    def finetuneModel(self, name):
        """Go to the tab "Finetune" with a model to start from, as after it was pretrained."""
        self.finetune.use_model(name)
        self.ui.tabs.setCurrentIndex(2)

    def useFinetuned(self, name):
        """Go to the tab "Relevance" with a finetuned model that finds its labels, as after it was made."""
        self.panel.use_finetuned(name)
        self.ui.tabs.setCurrentIndex(0)

    def requiredPackages(self):
        """Import names of the packages that the tab on screen needs."""
        panels = self.panels
        return panels[self.ui.tabs.currentIndex].required_packages() if len(panels) == 3 else ()

    def onTab(self):
        """Another tab came up: a model may have been made elsewhere, and other packages may be needed."""
        self.finetune.list_models()
        for index, panel in ((1, self.pretrain), (2, self.finetune)):
            if self.ui.tabs.currentIndex != index:
                panel.leave()
        for index, panel in ((1, self.pretrain), (2, self.finetune)):
            if self.ui.tabs.currentIndex == index:
                panel.show()
        self.onSetupChanged()

    def onSetupChanged(self):
        """Packages were installed, or another tab needs others."""
        for panel in self.panels:
            panel.refresh()

    def onReady(self):
        """Nothing is missing: the worker starts while the user still chooses."""
        from MaskWhatMattersLib.bridge.jobs import warm_up_worker

        self.onTab()
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


class MaskWhatMattersLogic(ScriptedLoadableModuleLogic):
    """What every button of the panel calls, for the Python console as well."""

    def getParameterNode(self):
        """The module's parameters in the present scene, typed."""
        from MaskWhatMattersLib.bridge.parameter_nodes import wrapper_of

        return wrapper_of(super().getParameterNode(), MaskWhatMattersParameterNode)

    def shownVolume(self):
        """The volume in the background of the red slice view, else the first scan of the scene, else None."""
        from MaskWhatMattersLib.bridge.scene_views import shown_volume

        return shown_volume(slicer.mrmlScene)

    def showRelevance(
        self,
        volumeNode,
        prompts,
        localizer="builtin",
        threshold=None,
        wait=True,
        *,
        model=None,
        device="auto",
        modality=None,
        regionNode=None,
        segmentId=None,
        replaceNan=False,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Find prompts in a volume and show where they are: an overlay and a segmentation for each that is found.

        Args:
            volumeNode: vtkMRMLScalarVolumeNode; linear transforms above it are taken into account.
            prompts: One string with a prompt per line, or a list.
            localizer: A name in `MaskWhatMattersLib.relevance.available_localizers()`; to name one that is for
                research only is to acknowledge that.
            threshold: Relevance from which a voxel belongs to the mask, 0..1; None takes the localizer's advice.
            wait: Return when it is done; otherwise return at once.
            model: Model file, folder or name, where the localizer takes one.
            device: "auto", "cpu", "cuda" or "mps".
            modality: "CT", "MR" or "XR"; None believes the scan.
            regionNode: For the localizer "roi": segmentation, label map or markups ROI.
            segmentId: One segment of `regionNode`; None takes all.
            replaceNan: Give voxels without a number the darkest value instead of refusing the volume.
            scheduler: Address of a Dask scheduler; empty computes here.
            consent: Agreement to send voxels to `scheduler`.
            tlsFiles: Paths of CA, certificate and key for a scheduler that is reached by tls://.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The nodes that were made or updated; with `wait=False` a run with `cancel()`, `done`, `nodes`, `rows`.

        Raises:
            InputError: Volume, prompts, region or address cannot be used; the message says what to do.
            JobError: The job failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled while this waited, for example because the scene was closed.
        """
        from MaskWhatMattersLib.bridge.relevance_run import start_relevance

        run = start_relevance(
            volumeNode,
            prompts,
            localizer=localizer,
            threshold=threshold,
            model=model,
            device=device,
            modality=modality,
            region_node=regionNode,
            segment_id=segmentId,
            replace_nan=replaceNan,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
        )
        return run.result() if wait else run

    def pretrain(
        self,
        images,
        prompts=(),
        method="mae",
        preset="fast",
        wait=True,
        *,
        dims=3,
        inside=0.6,
        outside=0.2,
        ratio=None,
        equalBudget=False,
        localizer="builtin",
        marginMm=0.0,
        minutes=None,
        name="",
        resume=False,
        device="auto",
        config=None,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Learn from images without labels: parts of each are hidden, and a network learns to complete it.

        Args:
            images: Volume nodes or files; or one folder or manifest (.csv).
            prompts: What matters, one string with a prompt per line, or a list; nothing hides at random.
            method: "mae", "spark", "simmim" or "simclr".
            preset: "fast", "paper" or "best"; None takes the defaults.
            wait: Return when it is done; otherwise return at once.
            dims: 3 for volumes, 2 for pictures and slices of volumes.
            inside: Hidden share of what matters, 0..1.
            outside: Hidden share of the rest.
            ratio: Hidden share without prompts, and of every image with `equalBudget`; None takes the method's.
            equalBudget: Hide the same share of every image, with prompts as well.
            localizer: Who finds the prompts.
            marginMm: Widens the box around what is found.
            minutes: Budget for the training, without reading the images; None for as many steps as the preset says.
            name: Of the new model; empty takes one with today's date.
            resume: Go on with the pretraining of that name, which was paused; the rest must be as it was.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `MaskWhatMattersLib.pretraining.config.PretrainConfig` that differ from the preset.
            scheduler: Address of a Dask scheduler; empty computes here.
            consent: Agreement to send scans to `scheduler`.
            tlsFiles: Paths of CA, certificate and key for a scheduler that is reached by tls://.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The name of the model, which `finetune` takes. With `wait=False` a run with `cancel()`, `pause()`, `done`,
            `state`, `name`, `model` (path of the file), `steps`, `loss`, `picture`; a cancel keeps the model as far as
            it was trained, a pause also what `resume` needs.

        Raises:
            InputError: Images, name or settings cannot be used; the message lists all problems.
            JobError: The training failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled before there was a model.
        """
        from MaskWhatMattersLib.bridge.pretrain_settings import console_settings
        from MaskWhatMattersLib.bridge.pretrain_start import start_pretraining

        settings = console_settings(
            prompts,
            method=method,
            preset=preset,
            dims=dims,
            minutes=minutes,
            device=device,
            config=config,
            inside=inside,
            outside=outside,
            ratio=ratio,
            equalBudget=equalBudget,
            localizer=localizer,
            marginMm=marginMm,
        )
        run = start_pretraining(
            images,
            settings,
            name=name,
            resume=resume,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
        )
        return run.result() if wait else run

    def estimatePretrain(
        self,
        prompts=(),
        method="mae",
        preset="fast",
        wait=True,
        *,
        dims=3,
        minutes=None,
        images=0,
        device="auto",
        config=None,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEnd=None,
        **masking,
    ):
        """Measure what `pretrain` with these settings would need: one step with made-up images; no scan is read.

        Args:
            prompts: As for `pretrain`; so are the others.
            method: "mae", "spark", "simmim" or "simclr".
            preset: "fast", "paper" or "best"; None takes the defaults.
            wait: Return when it is done; otherwise return at once.
            dims: 2 or 3.
            minutes: Budget for the training.
            images: How many there are; 0 when that is not known.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `PretrainConfig` that differ from the preset.
            scheduler: Address of a Dask scheduler; empty measures here.
            consent: Agreement to use `scheduler`.
            tlsFiles: Paths of CA, certificate and key.
            onEnd: Called with the run when it has ended.
            masking: inside, outside, ratio, equalBudget, localizer and marginMm of `pretrain`.

        Returns:
            `ResourceEstimate` with `step_s`, `total_s`, `peak_bytes`, `fits` and `words()`. With `wait=False` a run
            with `cancel()`, `done`, `estimate`, `error`.

        Raises:
            InputError: Settings that cannot be used.
            JobError: It could not be measured.
            JobCancelledError: It was cancelled while this waited.
        """
        from MaskWhatMattersLib.bridge.pretrain_settings import console_settings
        from MaskWhatMattersLib.bridge.pretrain_start import start_estimate

        settings = console_settings(
            prompts, method=method, preset=preset, dims=dims, minutes=minutes, device=device, config=config, **masking
        )
        run = start_estimate(
            settings, images=images, scheduler=scheduler, consent=consent, tls_files=tlsFiles, on_end=onEnd
        )
        return run.result() if wait else run

    def previewMask(self, image, prompts=(), method="mae", preset="fast", *, dims=3, position=None, **masking):
        """Picture one slice of an image with what `pretrain` would hide in it; waits for the picture.

        Args:
            image: Volume node; or a folder or manifest, of which the first image is taken.
            prompts: As for `pretrain`; so are the others.
            method: "mae", "spark" or "simmim".
            preset: "fast", "paper" or "best"; they differ in the size of what is hidden.
            dims: 2 or 3.
            position: Place of the slice from the feet to the head, 0..1; None: where what matters is largest.
            masking: inside, outside, ratio, equalBudget, localizer and marginMm of `pretrain`.

        Returns:
            `MaskPreview` with `png`, `ratio`, `inside`, `outside`, `tokens`, `relevant_tokens` and `message`.

        Raises:
            InputError: Image or settings cannot be used.
            JobError: It could not be drawn.
        """
        from MaskWhatMattersLib.bridge.pretrain_preview import preview_now
        from MaskWhatMattersLib.bridge.pretrain_settings import console_settings

        settings = console_settings(prompts, method=method, preset=preset, dims=dims, **masking)
        return preview_now(image, settings, position)

    def finetune(
        self,
        labelled,
        startModel=None,
        task="segmentation",
        wait=True,
        *,
        validation=0.2,
        preset="fast",
        minutes=None,
        dims=None,
        name="",
        device="auto",
        config=None,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEvent=None,
        onTick=None,
        onEnd=None,
    ):
        """Train a model on labelled images, from an encoder that was pretrained or from scratch.

        Args:
            labelled: Pairs (volume node, segmentation or label map node), or (file, file), for a segmentation; a third
                value names the segment to learn, and without it each segment becomes a class. Or a folder or manifest
                (.csv), for any task.
            startModel: Name or file of an encoder or a finetuned model; None begins from scratch.
            task: "segmentation", "classification" or "detection".
            wait: Return when it is done; otherwise return at once.
            validation: Share of the patients that is held out to measure the result.
            preset: "fast", "paper" or "best"; None takes the defaults.
            minutes: Budget for the training, without reading the images; None for as many steps as the preset says.
            dims: From scratch, 2 for pictures and slices, 3 for volumes.
            name: Of the new model; empty takes one with today's date.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `MaskWhatMattersLib.finetuning.config.FinetuneConfig` that differ from the preset.
            scheduler: Address of a Dask scheduler; empty computes here.
            consent: Agreement to send scans to `scheduler`.
            tlsFiles: Paths of CA, certificate and key for a scheduler that is reached by tls://.
            onEvent: Called with each event of the job.
            onTick: Called with the elapsed seconds.
            onEnd: Called with the run when it has ended.

        Returns:
            The name of the model. With `wait=False` a run with `cancel()`, `done`, `state`, `name`, `model` (path of
            the file), `steps`, `scores`, `test_scores`; a cancel keeps the model as far as it was trained.

        Raises:
            InputError: Images, labels, name or settings cannot be used; the message lists all problems.
            JobError: The training failed; `details` has the worker's last lines, `hint` what to do.
            JobCancelledError: It was cancelled before there was a model.
        """
        from MaskWhatMattersLib.bridge.finetune_start import start_finetuning

        run = start_finetuning(
            labelled,
            task=task,
            start_model=startModel,
            validation=validation,
            preset=preset,
            minutes=minutes,
            dims=dims,
            device=device,
            name=name,
            config=config,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            callbacks={"on_event": onEvent, "on_tick": onTick, "on_end": onEnd},
        )
        return run.result() if wait else run

    def estimateFinetune(
        self,
        startModel=None,
        task="segmentation",
        wait=True,
        *,
        classes=2,
        preset="fast",
        minutes=None,
        dims=None,
        device="auto",
        config=None,
        scheduler="",
        consent=False,
        tlsFiles=("", "", ""),
        onEnd=None,
    ):
        """Measure what `finetune` with these settings would need: one step with made-up images; no scan is read.

        Args:
            startModel: As for `finetune`; so are the others.
            task: "segmentation", "classification" or "detection".
            wait: Return when it is done; otherwise return at once.
            classes: Classes of the labels, background included.
            preset: "fast", "paper" or "best".
            minutes: Budget for the training.
            dims: From scratch, 2 or 3.
            device: "auto", "cpu", "cuda" or "mps".
            config: Fields of `FinetuneConfig` that differ from the preset.
            scheduler: Address of a Dask scheduler; empty measures here.
            consent: Agreement to use `scheduler`.
            tlsFiles: Paths of CA, certificate and key.
            onEnd: Called with the run when it has ended.

        Returns:
            `ResourceEstimate` with `step_s`, `total_s`, `peak_bytes`, `fits` and `words()`. With `wait=False` a run
            with `cancel()`, `done`, `estimate`, `error`.

        Raises:
            InputError: Settings that cannot be used.
            JobError: It could not be measured.
            JobCancelledError: It was cancelled while this waited.
        """
        from MaskWhatMattersLib.bridge.finetune_start import start_estimate

        run = start_estimate(
            task=task,
            start_model=startModel,
            classes=classes,
            preset=preset,
            minutes=minutes,
            dims=dims,
            device=device,
            config=config,
            scheduler=scheduler,
            consent=consent,
            tls_files=tlsFiles,
            on_end=onEnd,
        )
        return run.result() if wait else run


class MaskWhatMattersTest(ScriptedLoadableModuleTest):
    """Self test: the whole path on a volume made here, with no network and no weights."""

    def runTest(self):
        """Run every test in a fresh scene."""
        for test in (
            self.test_region_becomes_overlay_and_segmentation,
            self.test_bad_volume_is_refused,
            self.test_pretraining_makes_a_model,
        ):
            slicer.mrmlScene.Clear()
            try:
                test()
            except unittest.SkipTest as reason:
                self.delayDisplay(f"Skipped: {reason}")

    def test_region_becomes_overlay_and_segmentation(self):
        """A box of the user comes back as a mask on exactly the voxels that it holds."""
        from MaskWhatMattersLib.bridge.setup import missing_packages

        missing = missing_packages()
        if missing:
            self.skipTest(f"packages are not installed: {', '.join(missing)}")
        self.delayDisplay("Finding a box in a volume")
        volumeNode, boxNode = self._volumeWithBox()
        overlay, segmentation = MaskWhatMattersLogic().showRelevance(
            volumeNode, "my box", localizer="roi", regionNode=boxNode
        )
        relevance = slicer.util.arrayFromVolume(overlay)
        self.assertEqual(relevance.shape, (20, 30, 40))
        self.assertEqual(int(relevance.sum()), 5 * 5 * 5)
        self.assertEqual(relevance[10, 15, 20], 1)
        self.assertEqual(segmentation.GetName(), "my box")
        again = MaskWhatMattersLogic().showRelevance(volumeNode, "my box", localizer="roi", regionNode=boxNode)
        self.assertEqual([node.GetID() for node in again], [overlay.GetID(), segmentation.GetID()])
        self.delayDisplay("Found it")

    def test_bad_volume_is_refused(self):
        """A volume without voxels gives a clear message and no node."""
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "has no voxels"):
            MaskWhatMattersLogic().showRelevance(empty, "left lung", localizer="roi")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_pretraining_makes_a_model(self):
        """Two steps on a volume give an encoder that the list of models shows; it is removed again."""
        from MaskWhatMattersLib.bridge.pretrain_settings import PACKAGES
        from MaskWhatMattersLib.bridge.setup import missing_packages

        missing = missing_packages(PACKAGES)
        if missing:
            self.skipTest(f"packages are not installed: {', '.join(missing)}")
        from MaskWhatMattersLib.models import list_models, remove_model

        self.delayDisplay("Learning from a volume")
        volumeNode, _boxNode = self._volumeWithBox()
        encoder = {"image_size": [16, 16, 16], "patch_size": [8, 8, 8], "width": 12, "depth": 1, "heads": 1}
        config = {"encoder": encoder, "size": [16, 16, 16], "decoder": {"width": 8, "heads": 1}, "batch_size": 2}
        name = MaskWhatMattersLogic().pretrain(volumeNode, config={**config, "steps": 2})
        try:
            self.assertIn(name, [model.name for model in list_models()])
        finally:
            remove_model(name)
        self.delayDisplay("Learned")

    def _volumeWithBox(self):
        import numpy as np

        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        slicer.util.updateVolumeFromArray(volumeNode, np.random.default_rng(0).normal(size=(20, 30, 40)))
        matrix = vtk.vtkMatrix4x4()
        for axis, spacing in enumerate((-0.8, -0.8, 2.0)):
            matrix.SetElement(axis, axis, spacing)
        volumeNode.SetIJKToRASMatrix(matrix)
        volumeNode.CreateDefaultDisplayNodes()
        boxNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
        boxNode.SetCenter(-20 * 0.8, -15 * 0.8, 10 * 2.0)
        boxNode.SetSize(5.5 * 0.8, 5.5 * 0.8, 5.5 * 2.0)
        return volumeNode, boxNode
