"""The tab "Adapt to my site": labelled and unlabelled scans in, a model for this site out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.acknowledgement import is_acknowledged
from MaskWhatMattersLib.bridge.adapt_cases import FEWEST_FOR_VALIDATION, validation_count
from MaskWhatMattersLib.bridge.adapt_scans import AdaptScans
from MaskWhatMattersLib.bridge.compute_choice import fill_device_combo
from MaskWhatMattersLib.bridge.corn_adapt_start import PACKAGES, method, model_folder
from MaskWhatMattersLib.bridge.corn_models import CornModel, corn_models
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.training_curves import NodesWatch, TrainingCurves, problems_in_red
from MaskWhatMattersLib.bridge.training_run import point_text
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip
from MaskWhatMattersLib.errors import InputError, JobError

FROM_SCRATCH = ""


class CornAdaptPanel:
    """Connects the widgets of the tab with the parameter node and the module's logic.

    Args:
        ui: Widgets by name, of CornSegmentationAdapt.ui.
        logic: The module's logic; its `adapt` is what Train calls.
        setup: The strip above both tabs; `missing` names what is not installed.
        use_model: Called with the name of a model that was made, to choose it in the tab "Segment".
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, use_model: Callable[[str], None]) -> None:
        self.ui, self.logic, self.setup, self._use_model = ui, logic, setup, use_model
        self.run: Any = None
        self.config: dict[str, Any] = {}
        """Fields of the training's settings that differ from the default, for researchers and tests."""
        self._models: list[CornModel] | None = None
        self._problem = ""
        self._made = ""
        self._fill_choices()
        self._parameters = PanelParameters(
            ui,
            {"adaptStartModel": ui.startCombo, "adaptMode": ui.modeCombo, "adaptDevice": ui.deviceCombo},
            {},
            self.refresh,
        )
        self.scans = AdaptScans(ui, self._parameters, self._show_problem)
        self.job = JobBar(ui, self.train, self.cancel, _("Train"))
        self.curves = TrainingCurves(ui)
        self._watch = NodesWatch(self.refresh)
        ui.resultFrame.visible = False
        ui.useModelButton.connect("clicked()", lambda: self._use_model(self._made))

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that adapting needs."""
        return PACKAGES

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self._parameters.follow(parameters)
        self._watch.follow(slicer.mrmlScene if parameters is not None else None)
        if parameters is None:
            self.curves.close()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.list_models()
        self.refresh()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        if self.run is not None:
            self.run.abandon()
            self.run = None
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone; a model that was made stays in the lists."""
        self._problem = ""
        self.job.clear()

    def list_models(self) -> None:
        """Look for models again: one may have been made."""
        models = corn_models()
        if models == self._models:
            return
        self._models = models
        with self._parameters.writing_nothing():
            combo = self.ui.startCombo
            combo.clear()
            for model in models:
                combo.addItem(model.title, model.name)
            combo.addItem(_("None: from scratch"), FROM_SCRATCH)

    # What the user does

    def train(self) -> None:
        """Start the training that the panel describes."""
        parameters = self._parameters.node
        if parameters is None or self._blocker():
            return
        self._problem = ""
        self.job.begin()
        self.ui.resultFrame.visible = self.ui.plotFrame.visible = False
        slicer.app.processEvents()
        try:
            run = self.logic.adapt(
                self.scans.labelled,
                self.scans.unlabelled,
                startModel=self._start_model(),
                minutes=parameters.adaptMinutes,
                wait=False,
                name=parameters.adaptName,
                mode=parameters.adaptMode,
                device=parameters.adaptDevice,
                config=self.config,
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
            self._parameters.node.adaptName = ""  # the next model needs another one
        self.refresh()

    # What the panel shows

    def refresh(self) -> None:
        """Show the parameter node and say whether the training can start."""
        with self._parameters.showing() as there:
            if not there:
                return
            self.scans.show()
            self.ui.summaryLabel.text = self._summary()
        self.setup.refresh()
        self.job.set_blocker(self._blocker(), _("Train a model on these scans"))

    def _blocker(self) -> str:
        """Why the training cannot start; empty when it can."""
        parameters = self._parameters.node
        if parameters is None:
            return str(_("The scene is being closed"))
        start = next((model for model in self._models or [] if model.name == self._start_model()), None)
        research_only = _(
            "The start model is for research only: choose it in the tab Segment and tick the box there first"
        )
        reasons = [
            (bool(self.setup.missing), _("Install the missing packages first: the button at the top does it")),
            (not self.scans.labelled, _("Add at least one volume with its segmentation first")),
            *((True, problem) for problem in self.scans.problems()[:1]),
            (start is not None and start.needs_acknowledgement and not is_acknowledged(start.name), research_only),
        ]
        reason = next((str(text) for applies, text in reasons if applies), "")
        return reason or self._name_problem(parameters)

    def _name_problem(self, parameters: Any) -> str:
        try:
            model_folder(parameters.adaptName, self._start_model())
        except InputError as error:
            return str(error)
        return ""

    def _start_model(self) -> str | None:
        """Name of the model to adapt; None from scratch, also where the model is not there any more."""
        combo = self.ui.startCombo
        return str(combo.itemData(combo.currentIndex) or "") or None

    def _summary(self) -> str:
        """What will happen, before it is started; or what is wrong."""
        problems = [self._problem] if self._problem else self.scans.problems()
        if problems:
            return problems_in_red(problems)
        parameters, labelled, unlabelled = self._parameters.node, self.scans.labelled, self.scans.unlabelled
        if not labelled:
            return str(_("Add scans with the left atrium marked; four or more let the result be measured."))
        held_out, mode = validation_count(len(labelled)), method(parameters.adaptMode, unlabelled)
        used = 0 if mode == "supervised" else len(unlabelled)
        sentences = [
            _("Learns from {labelled} labelled and {unlabelled} unlabelled scans for {minutes} min.").format(
                labelled=len(labelled) - held_out, unlabelled=used, minutes=parameters.adaptMinutes
            )
        ]
        if held_out:
            sentences.append(_("{count} held out to measure the result (validation Dice).").format(count=held_out))
        else:
            sentences.append(
                _("With fewer than {count} labelled scans none is held out: only the training loss is shown.").format(
                    count=FEWEST_FOR_VALIDATION
                )
            )
        if mode != parameters.adaptMode:
            sentences.append(_("Without unlabelled scans it learns from the labelled ones alone."))
        return " ".join(str(sentence) for sentence in sentences)

    def _show_problem(self, text: str) -> None:
        self._problem = text
        self.refresh()

    def _show_curves(self, run: Any) -> None:
        self.curves.show(run, point_text(run.steps, run.loss, run.dice, run.plots.score_name))

    def _show_result(self, run: Any) -> None:
        if run.state == "done":
            text = _("Made <b>{name}</b> in {steps} steps.")
        else:
            text = _("Kept <b>{name}</b> after {steps} steps.")
        text = text.format(name=run.name, steps=run.steps)
        if run.dice is not None:
            text += " " + _("Held-out Dice {dice:.3f}.").format(dice=run.dice)
        self.ui.resultLabel.text = text
        if run.state != "done":
            self.ui.logLineLabel.text = _("Kept the model after {steps} steps").format(steps=run.steps)

    def _fill_choices(self) -> None:
        for text, mode in (
            (_("CORN (recommended)"), "ours"),
            (_("CORN as in the paper"), "paper"),
            (_("CORN as in the published code"), "code"),
            (_("Mean teacher"), "mean_teacher"),
            (_("Labelled scans only"), "supervised"),
        ):
            self.ui.modeCombo.addItem(text, mode)
        fill_device_combo(self.ui.deviceCombo)
