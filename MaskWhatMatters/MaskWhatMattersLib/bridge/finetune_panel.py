"""The tab "Finetune": labelled images and a start model in, a model that segments, classifies or detects out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.compute_choice import (
    agrees_to_send,
    fill_compute_combo,
    fill_device_combo,
    scheduler_of,
    scheduler_options,
    show_scheduler_fields,
)
from MaskWhatMattersLib.bridge.finetune_run import scores_text
from MaskWhatMattersLib.bridge.finetune_scans import FOLDER, FinetuneScans, fill_source_combo
from MaskWhatMattersLib.bridge.finetune_start import model_folder, required_packages
from MaskWhatMattersLib.bridge.finetune_start_choice import StartChoice
from MaskWhatMattersLib.bridge.jobs import close_estimate_runner
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.training_curves import NodesWatch, TrainingCurves, problems_in_red
from MaskWhatMattersLib.bridge.training_estimate import EstimateLine, EstimateRun
from MaskWhatMattersLib.bridge.training_run import point_text
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, ask_user
from MaskWhatMattersLib.errors import InputError, JobError


class FinetunePanel:
    """Connects the widgets of the tab with the parameter node and the module's logic.

    Args:
        ui: Widgets by name, of MaskWhatMattersFinetune.ui.
        logic: The module's logic; its `finetune` is what Apply calls.
        setup: The strip above the tabs; `missing` names what is not installed.
        use_in_relevance: Called with the name of a model that was made, to find its labels in the tab "Relevance".
        ask: Asks the user for consent; takes text and title.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        setup: SetupStrip,
        use_in_relevance: Callable[[str], None] = lambda name: None,
        ask: Callable[[str, str], bool] = ask_user,
    ) -> None:
        self.ui, self.logic, self.setup, self.ask = ui, logic, setup, ask
        self.run: Any = None
        self.config: dict[str, Any] = {}
        """Fields of the training's settings that differ from the preset, for researchers and tests."""
        self._problem = ""
        self._made = ""
        self._is_shown = False
        self._agreed_schedulers: set[str] = set()
        self._agreed_for_models: set[str] = set()
        self._fill_choices()
        self._parameters = PanelParameters(
            ui,
            {
                "finetuneTask": ui.taskCombo,
                "finetuneStartModel": ui.startCombo,
                "finetuneDims": ui.dimsCombo,
                "finetuneSource": ui.sourceCombo,
                "finetunePreset": ui.presetCombo,
                "finetuneDevice": ui.deviceCombo,
                "compute": ui.computeCombo,
            },
            {},
            self.refresh,
        )
        self.start = StartChoice(ui, self._parameters, self.refresh)
        self.scans = FinetuneScans(ui, self._parameters, self._show_problem)
        stop = (_("Stop and keep the model"), _("Stop now; what was learned so far becomes the model"))
        self.job = JobBar(ui, self.train, self.cancel, _("Finetune"), stop)
        self.estimate = EstimateLine(ui, self._start_estimate)
        self.curves = TrainingCurves(ui)
        self._watch = NodesWatch(self.refresh)
        ui.resultFrame.visible = False
        ui.useModelButton.connect("clicked()", lambda: use_in_relevance(self._made))

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that the chosen task needs on this computer."""
        parameters = self._parameters.node
        if parameters is None:
            return ()
        return () if scheduler_of(parameters) else required_packages(parameters.finetuneTask)

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self._parameters.follow(parameters)
        self._watch.follow(slicer.mrmlScene if parameters is not None else None)
        if parameters is None:
            self.estimate.stop()
            self.curves.close()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.list_models()
        self.refresh()

    def show(self) -> None:
        """The tab comes up: the estimate begins to follow the settings."""
        self._is_shown = True
        self.refresh()

    def leave(self) -> None:
        """The tab or the module is left; a running training goes on, an estimate does not."""
        if self._is_shown:
            self._is_shown = False
            self.estimate.stop()
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
        self._problem = ""
        self.ui.resultFrame.visible = False
        self.job.clear()

    def list_models(self) -> None:
        """Look for models again: one may have been made."""
        self.start.look()

    def use_model(self, name: str) -> None:
        """Choose the model to start from, as after it was pretrained."""
        self.start.choose(name)

    # What the user does

    def train(self) -> None:
        """Start the training that the panel describes."""
        parameters = self._parameters.node
        if parameters is None or self._blocker():
            return
        scheduler = scheduler_of(parameters)
        question = _(
            "The labelled scans of the scene and the start model will be sent to {address}; a folder must be readable "
            "there. Names and other patient data are not sent. Go on?"
        ).format(address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_schedulers, self.ask):
            return
        self._problem = ""
        self.estimate.stop()
        close_estimate_runner()  # its memory is wanted now
        self.job.begin()
        self.ui.resultFrame.visible = self.ui.plotFrame.visible = False
        slicer.app.processEvents()
        try:
            run = self.logic.finetune(
                self.scans.chosen,
                validation=parameters.finetuneValidation / 100,
                name=parameters.finetuneName,
                wait=False,
                **self._settings(),
                **scheduler_options(parameters),
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

    def cancel(self) -> None:
        """Ask the training to stop; its last step becomes the model."""
        if self.run is not None:
            self.job.show_cancelling()
            self.ui.stageLabel.text = _("Finishing this step and keeping the model...")
            self.run.cancel()

    def _start_estimate(self, on_end: Callable[[EstimateRun], None]) -> EstimateRun:
        classes = 1 + max(1, self.scans.class_count())
        options = scheduler_options(self._parameters.node)
        self._require_consent_to_send_model(options["scheduler"])
        run: EstimateRun = self.logic.estimateFinetune(
            classes=classes, wait=False, **self._settings(), **options | {"consent": True}, onEnd=on_end
        )
        return run

    def _require_consent_to_send_model(self, scheduler: str) -> None:
        """Ask before an estimate sends the start model; whoever agreed to send scans agreed to that as well.

        Raises:
            InputError: The person does not agree.
        """
        if not self.start.name or scheduler in self._agreed_schedulers:
            return
        question = _(
            "To measure a step, the start model {model} will be sent to {address}; no scan is sent. Go on?"
        ).format(model=self.start.name, address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_for_models, self.ask):
            raise InputError(_("The start model was not sent. Measure it on this computer, or without a start model."))

    def _settings(self) -> dict[str, Any]:
        """What training and estimate take alike."""
        parameters = self._parameters.node
        return {
            "task": parameters.finetuneTask,
            "startModel": self.start.name,
            "preset": parameters.finetunePreset,
            "minutes": parameters.finetuneMinutes or None,
            "dims": self.start.dims(is_folder=self.scans.source == FOLDER),
            "device": parameters.finetuneDevice,
            "config": self.config,
        }

    def _on_tick(self, seconds: float) -> None:
        self.job.show_time(seconds)
        if self.run is not None:
            self._show_curves(self.run)

    def _on_end(self, run: Any) -> None:
        if run is not self.run and self.run is not None:
            return
        self.run = None
        self.list_models()
        if self._parameters.node is None:
            self.job.end("cancelled")
            return
        self._show_curves(run)
        self.job.end(run.state, run.error)
        self.ui.resultFrame.visible = run.model is not None
        if run.model is not None:
            self._made = run.name
            self._show_result(run)
            self._parameters.node.finetuneName = ""  # the next model needs another one
        self.refresh()

    # What the panel shows

    def refresh(self) -> None:
        """Show the parameter node and say whether the training can start."""
        self.start.offer()
        with self._parameters.showing() as there:
            if not there:
                return
            parameters = self._parameters.node
            self.scans.show()
            self.start.show(is_folder=self.scans.source == FOLDER)
            show_scheduler_fields(self.ui, parameters)
            self.ui.summaryLabel.text = self._summary()
        self.setup.refresh()
        blocker = self._blocker()
        self.job.set_blocker(blocker, _("Train a model on these scans"))
        is_cheap = self._is_shown and parameters.finetunePreset == "fast" and not scheduler_of(parameters)
        busy = str(_("The training runs already")) if self.job.is_busy else ""
        settings = (self._settings(), self.scans.class_count(), scheduler_of(parameters))
        self.estimate.follow(settings, blocker=busy or self._estimate_blocker(), is_cheap=is_cheap and not blocker)

    def _blocker(self) -> str:
        """Why the training cannot start; empty when it can."""
        parameters = self._parameters.node
        if parameters is None:
            return str(_("The scene is being closed"))
        lack = self.scans.lack()
        reasons = [
            (bool(self._estimate_blocker()), self._estimate_blocker()),
            (bool(lack), lack),
            *((True, problem) for problem in self.scans.problems()[:1]),
            (self.start.is_unacknowledged, _("Tick the box below the start model first: it is for research only")),
        ]
        reason = next((str(text) for applies, text in reasons if applies), "")
        return reason or self._name_problem(parameters)

    def _estimate_blocker(self) -> str:
        """Why a step cannot be measured; empty when it can."""
        return str(_("Install the missing packages first: the button at the top does it")) if self.setup.missing else ""

    def _name_problem(self, parameters: Any) -> str:
        try:
            model_folder(parameters.finetuneName, parameters.finetuneTask, self.start.name)
        except InputError as error:
            return str(error)
        return ""

    def _summary(self) -> str:
        """What will happen, before it is started; or what is wrong."""
        problems = [self._problem] if self._problem else self.scans.problems()
        if problems:
            return problems_in_red(problems)
        lack = self.scans.lack()
        return f"{lack}." if lack else " ".join(self.scans.summary())

    def _show_problem(self, text: str) -> None:
        self._problem = text
        self.refresh()

    def _show_curves(self, run: Any) -> None:
        loss, score = run.last
        self.curves.show(run, point_text(run.steps, loss, score, run.plots.score_name))

    def _show_result(self, run: Any) -> None:
        text = (
            _("Made <b>{name}</b> in {steps} steps.")
            if run.state == "done"
            else _("Kept <b>{name}</b> after {steps} steps.")
        )
        parts = [text.format(name=run.name, steps=run.steps)]
        if run.scores:
            parts.append(_("Held out: {scores}.").format(scores=scores_text(run.scores)))
        if run.test_scores:
            parts.append(_("Test: {scores}.").format(scores=scores_text(run.test_scores)))
        parts += list(run.notes)
        self.ui.resultLabel.text = " ".join(map(str, parts))
        self.ui.useModelButton.visible = run.task == "segmentation"
        if run.state != "done":
            self.ui.logLineLabel.text = _("Kept the model after {steps} steps").format(steps=run.steps)

    def _fill_choices(self) -> None:
        ui = self.ui
        for text, task in (
            (_("Segmentation: mark structures"), "segmentation"),
            (_("Classification: tell images apart"), "classification"),
            (_("Detection: find and outline objects (2D)"), "detection"),
        ):
            ui.taskCombo.addItem(text, task)
        for text, preset in ((_("Fast"), "fast"), (_("As in the paper"), "paper"), (_("Best"), "best")):
            ui.presetCombo.addItem(text, preset)
        fill_source_combo(ui.sourceCombo)
        fill_device_combo(ui.deviceCombo)
        fill_compute_combo(ui.computeCombo)
