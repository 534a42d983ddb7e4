"""The tab "Pretrain": images without labels in, an encoder to start a finetuning from out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.compute_choice import (
    agrees_to_send,
    scheduler_of,
    scheduler_options,
    show_scheduler_fields,
)
from MaskWhatMattersLib.bridge.jobs import close_estimate_runner
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.pretrain_choices import fill_pretrain_combos
from MaskWhatMattersLib.bridge.pretrain_masking import PretrainMasking
from MaskWhatMattersLib.bridge.pretrain_pause import PausedPretraining
from MaskWhatMattersLib.bridge.pretrain_progress import PretrainProgress
from MaskWhatMattersLib.bridge.pretrain_scans import PretrainScans
from MaskWhatMattersLib.bridge.pretrain_settings import (
    ADVISED_RATIO,
    HIDES_NOTHING,
    PACKAGES,
    console_settings,
    required_packages,
)
from MaskWhatMattersLib.bridge.pretrain_start import finish_paused, model_folder, paused_folder
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.bridge.training_estimate import EstimateLine, EstimateRun
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, ask_user
from MaskWhatMattersLib.errors import InputError, JobError


class PretrainPanel:
    """Connects the widgets of the tab with the parameter node and the module's logic.

    Args:
        ui: Widgets by name, of MaskWhatMattersPretrain.ui.
        logic: The module's logic.
        setup: The strip above the tabs; `missing` names what is not installed.
        use_model: Called with the name of a model that was made, to choose it in the tab "Finetune".
        ask: Asks the user for consent; takes text and title.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        setup: SetupStrip,
        use_model: Callable[[str], None],
        ask: Callable[[str, str], bool] = ask_user,
    ) -> None:
        self.ui, self.logic, self.setup, self.ask = ui, logic, setup, ask
        self.run: Any = None
        self.config: dict[str, Any] = {}
        """Fields of the settings that differ from the preset, for researchers and tests."""
        self._is_shown = False
        self._made = ""
        self._call: dict[str, Any] = {}  # of the run
        self._agreed_schedulers: set[str] = set()
        self._scene_observers: list[tuple[Any, int]] = []
        fill_pretrain_combos(ui)
        self._parameters = PanelParameters(
            ui,
            {
                "pretrainDims": ui.dimsCombo,
                "pretrainSource": ui.sourceCombo,
                "pretrainMethod": ui.methodCombo,
                "pretrainPreset": ui.presetCombo,
                "pretrainLocalizer": ui.localizerCombo,
                "pretrainDevice": ui.deviceCombo,
                "compute": ui.computeCombo,
            },
            {},
            self.refresh,
        )
        self.scans = PretrainScans(ui, self._parameters, self.refresh)
        self.masking = PretrainMasking(ui, self._parameters)
        self.paused = PausedPretraining(ui, self._parameters)
        stop = (_("Stop and keep the model"), _("Stop now; what was learned so far becomes the model"))
        self.job = JobBar(ui, self.train, self.cancel, _("Pretrain"), stop)
        self.estimate = EstimateLine(ui, self._start_estimate)
        self.progress = PretrainProgress(ui)
        ui.methodCombo.connect("activated(int)", lambda index: self._advise_ratio())
        ui.pauseButton.connect("clicked()", self.pause)
        ui.resumeButton.connect("clicked()", self.resume)
        ui.keepButton.connect("clicked()", self.finish)
        ui.useModelButton.connect("clicked()", lambda: use_model(self._made))

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that pretraining needs on this computer."""
        node = self._parameters.node
        if node is None or scheduler_of(node):
            return ()
        needed = (*required_packages(node.pretrainMethod, node.pretrainDims, node.pretrainPreset),)
        return tuple(dict.fromkeys((*needed, *self.masking.packages())))

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self._parameters.follow(parameters)
        self._observe(slicer.mrmlScene if parameters is not None else None)
        if parameters is None:
            self.estimate.stop()
            self.masking.preview.stop()
            self.progress.close()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.refresh()

    def show(self) -> None:
        """The tab comes up: the picture and the estimate begin to follow the settings."""
        self._is_shown = True
        self.refresh()

    def leave(self) -> None:
        """The tab or the module is left; a running pretraining goes on, previews and estimates do not."""
        if not self._is_shown:
            return
        self._is_shown = False
        self.estimate.stop()
        self.masking.preview.stop()
        close_estimate_runner()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        if self.run is not None:
            self.run.abandon()
            self.run = None
        self.leave()
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone; a model that was made stays in the lists."""
        self.progress.clear()
        self.job.clear()

    # What the user does

    def train(self) -> None:
        """Start the pretraining that the panel describes."""
        node = self._parameters.node
        if node is not None and not self._blocker():
            self._start(self._arguments(), node.pretrainName)

    def resume(self) -> None:
        """Go on with the paused pretraining, with its settings and the images that the panel shows."""
        if self.paused.name and not self.job.is_busy and not self._resume_problem():
            self._start(self.paused.call, self.paused.name, resume=True)

    def pause(self) -> None:
        """Ask the pretraining to stop and to keep what it needs to go on."""
        if self.run is not None:
            self._show_stopping(_("Finishing this step and keeping everything..."))
            self.run.pause()

    def cancel(self) -> None:
        """Ask the pretraining to stop; its last step becomes the model."""
        if self.run is not None:
            self._show_stopping(_("Finishing this step and keeping the model..."))
            self.run.cancel()

    def finish(self) -> None:
        """Keep the model of the paused pretraining as it is, and give up going on with it."""
        name = self.paused.name
        model = finish_paused(name) if name else None
        self.ui.useModelButton.visible = model is not None
        self.paused.forget()
        if model is not None:
            self._made = name
            self.progress.tell(_("Kept <b>{name}</b>.").format(name=name))
        elif name:
            self.progress.tell(
                _("There is no model <b>{name}</b> on this computer, so nothing was kept.").format(name=name)
            )
        self.refresh()

    def _start(self, call: dict[str, Any], name: str, *, resume: bool = False) -> None:
        node = self._parameters.node
        scheduler = scheduler_of(node)
        question = _(
            "The voxels of the scans will be sent to {address}; a folder must be readable there. "
            "Names and other patient data are not sent. Go on?"
        ).format(address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_schedulers, self.ask):
            return
        self.estimate.stop()
        close_estimate_runner()
        self._call = call
        self.job.begin()
        self.progress.clear()
        self.ui.useModelButton.visible = True
        self._show_pause()
        slicer.app.processEvents()
        try:
            run = self.logic.pretrain(
                self.scans.images(),
                wait=False,
                name=name,
                resume=resume,
                **call,
                **scheduler_options(node),
                onEvent=self.job.show_event,
                onTick=self._on_tick,
                onEnd=self._on_end,
            )
        except (InputError, JobError) as error:
            self.job.end("failed", error)
        except Exception as error:  # the panel must not stay in the state "running"
            self.job.end("failed", error)
            raise
        else:
            self.run = None if run.done else run
        self._show_pause()

    def _start_estimate(self, on_end: Callable[[EstimateRun], None]) -> EstimateRun:
        options = scheduler_options(self._parameters.node) | {"consent": True}  # no voxel is sent
        count = 0 if self.scans.is_folder else len(self.scans.ticked)
        run: EstimateRun = self.logic.estimatePretrain(
            images=count, wait=False, **self._arguments(), **options, onEnd=on_end
        )
        return run

    def _arguments(self) -> dict[str, Any]:
        """What pretraining, estimate and preview take alike: arguments of the module's logic."""
        node = self._parameters.node
        return {
            "method": node.pretrainMethod,
            "preset": node.pretrainPreset,
            "dims": node.pretrainDims,
            "minutes": node.pretrainMinutes or None,
            "device": node.pretrainDevice,
            "config": self.config,
            **self.masking.call(),
        }

    def _on_tick(self, seconds: float) -> None:
        self.job.show_time(seconds)
        if self.run is not None:
            self.progress.show(self.run)

    def _on_end(self, run: Any) -> None:
        if run is not self.run and self.run is not None:
            return
        self.run = None
        node = self._parameters.node
        if node is None:
            self.job.end("cancelled")
            return
        self.job.end("cancelled" if run.state == "paused" else run.state, run.error)
        self.progress.show_end(run)
        if run.can_go_on:
            self.paused.remember(run, self._call)
        elif self.paused.name == run.name:
            self.paused.forget()
        if run.state == "paused":
            self.ui.logLineLabel.text = _("Paused after {steps} steps").format(steps=run.steps)
        if run.model is not None or run.can_go_on:
            self._made = run.name
            node.pretrainName = ""  # the next model needs another one
        self.refresh()

    def _show_stopping(self, text: str) -> None:
        self.job.show_cancelling()
        self.ui.stageLabel.text = text
        self._show_pause()

    # What the panel shows

    def refresh(self) -> None:
        """Show the parameter node and say whether the pretraining can start."""
        with self._parameters.showing() as there:
            if not there:
                return
            node = self._parameters.node
            self.scans.show()
            self.masking.show()
            show_scheduler_fields(self.ui, node)
            self._show_pause()
        self.setup.refresh()
        blocker = self._blocker()
        self.job.set_blocker(blocker, _("Learn from these images without labels"))
        self._follow(node)

    def _follow(self, node: Any) -> None:
        """Let picture and estimate follow the settings, while somebody looks."""
        if not self._is_shown:
            return
        lack = self._packages_problem() or self.masking.problem()
        busy = str(_("The pretraining runs already")) if self.job.is_busy else ""
        scheduler = scheduler_of(node)
        if lack:
            self.estimate.follow(None, blocker=lack, is_cheap=False)
        else:
            settings = (self._cost(), scheduler)
            is_cheap = node.pretrainPreset == "fast" and not scheduler and not busy and not self._images_problem()
            self.estimate.follow(settings, blocker=busy, is_cheap=is_cheap)
        image = self.scans.folder if self.scans.is_folder else slicer.mrmlScene.GetNodeByID(self._previewed())
        if node.pretrainMethod == HIDES_NOTHING:
            self.masking.preview.stop()
        elif scheduler and missing_packages(PACKAGES):
            self.masking.preview.stop(_("The picture is made on this computer, where packages are missing"))
        elif lack or image is None or (self.scans.is_folder and self._images_problem()):
            self.masking.preview.stop(lack or self._images_problem())
        else:
            self.masking.preview.follow(image, console_settings(**self._arguments()))

    def _cost(self) -> Any:
        """What time and memory depend on; shares only roughly, so that a slider does not ask for new estimates."""
        node = self._parameters.node
        shares = [round(getattr(node, f"pretrain{name}") / 10) for name in ("Inside", "Outside", "Ratio")]
        count = 0 if self.scans.is_folder else len(self.scans.ticked)
        fixed = (node.pretrainMethod, node.pretrainPreset, node.pretrainDims, node.pretrainMinutes)
        return (*fixed, node.pretrainDevice, bool(self.masking.prompts), shares, count, self.config)

    def _previewed(self) -> str:
        """ID of the scan in the picture: the one in the slice views where it is ticked, else the first."""
        ticked = self.scans.ticked
        shown = self.logic.shownVolume()
        if shown is not None and shown.GetID() in ticked:
            return str(shown.GetID())
        return ticked[0] if ticked else ""

    def _blocker(self) -> str:
        """Why the pretraining cannot start; empty when it can."""
        node = self._parameters.node
        if node is None:
            return str(_("The scene is being closed"))
        address = node.compute == "scheduler" and not scheduler_of(node)
        reasons = [
            self._packages_problem(),
            self._images_problem(),
            self.masking.problem(),
            str(_("Type the address of the Dask scheduler under Advanced first")) if address else "",
        ]
        reason = next((text for text in reasons if text), "")
        return reason or _name_problem(node.pretrainName, node.pretrainMethod)  # which reads what pydantic describes

    def _packages_problem(self) -> str:
        return str(_("Install the missing packages first: the button at the top does it")) if self.setup.missing else ""

    def _images_problem(self) -> str:
        return self.scans.problem(is_remote=bool(scheduler_of(self._parameters.node)))

    def _resume_problem(self) -> str:
        """Why the paused pretraining cannot be gone on with; empty when it can."""
        if self._parameters.node is None or not self.paused.name:
            return ""
        try:
            paused_folder(self.paused.name, scheduler_of(self._parameters.node))
        except InputError as error:
            return str(error)
        return self._packages_problem() or self._images_problem()

    def _show_pause(self) -> None:
        self.paused.show(self.job.state, self._resume_problem())

    def _advise_ratio(self) -> None:
        """Another method was chosen by hand: hide what it advises."""
        self._parameters.store("pretrainRatio", 100 * ADVISED_RATIO[self._parameters.node.pretrainMethod])

    def _observe(self, scene: Any) -> None:
        """Follow the nodes of a scene: volumes come and go, and with them what can be learned from."""
        for observed, tag in self._scene_observers:
            observed.RemoveObserver(tag)
        self._scene_observers = []
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
            self._scene_observers = [(scene, scene.AddObserver(event, self._on_nodes)) for event in events]

    def _on_nodes(self, scene: Any, _event: str) -> None:
        if not scene.IsBatchProcessing():
            self.refresh()


def _name_problem(name: str, method: str) -> str:
    try:
        model_folder(name, method)
    except InputError as error:
        return str(error)
    return ""
