"""The tab "Segment": heart scans in, their left atria out; everything it knows is in the parameter node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.acknowledgement import acknowledge, is_acknowledged
from MaskWhatMattersLib.bridge.compute_choice import (
    agrees_to_send,
    fill_compute_combo,
    fill_device_combo,
    scheduler_of,
    scheduler_options,
    show_scheduler_fields,
)
from MaskWhatMattersLib.bridge.corn_models import CornModel, corn_models, model_of_file
from MaskWhatMattersLib.bridge.corn_results_view import CornResultsView
from MaskWhatMattersLib.bridge.corn_segment_run import PACKAGES
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_views import scans_of_study
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, ask_user, in_words
from MaskWhatMattersLib.errors import InputError, JobError


class CornSegmentPanel:
    """Connects the widgets of the .ui file with the parameter node and the module's logic.

    Args:
        ui: Widgets by name.
        logic: The module's logic; its `segment` is what Apply calls.
        setup: The strip above both tabs.
        ask: Asks the user for consent; takes text and title.
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, ask: Callable[[str, str], bool] = ask_user) -> None:
        self.ui, self.logic, self.setup, self.ask = ui, logic, setup, ask
        self.run: Any = None
        self._models: list[CornModel] = []
        self._agreed_schedulers: set[str] = set()
        self._fill_choices()
        self._parameters = PanelParameters(
            ui,
            {
                "model": ui.modelCombo,
                "fieldOfView": ui.fieldOfViewCombo,
                "device": ui.deviceCombo,
                "compute": ui.computeCombo,
            },
            {"inputVolume": ui.inputSelector},
            self.refresh,
            self._correct,
        )
        self.job = JobBar(ui, self.apply, self.cancel)
        self.results = CornResultsView(ui, lambda node: self._parameters.store("shownVolume", node))
        ui.acknowledgeCheckBox.connect("toggled(bool)", self._on_acknowledged)
        ui.advancedButton.connect("contentsCollapsed(bool)", lambda collapsed: self.refresh())

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that segmenting needs."""
        parameters = self._parameters.node
        return () if parameters is not None and parameters.compute == "scheduler" else PACKAGES

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self.setup.forget()
        self._parameters.follow(parameters)
        if parameters is None:
            self.results.stop()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.list_models()
        if parameters.inputVolume is None:
            parameters.inputVolume = self.logic.shownVolume()
        self.results.start(parameters.shownVolume)
        self.refresh()

    def leave(self) -> None:
        """The user goes to another module; a running job goes on."""
        self.results.pause()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        if self.run is not None:
            self.run.cancel()
            self.run = None
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the last job of a scene that is gone."""
        self.job.clear()

    def list_models(self) -> None:
        """Look for models again: one may have been made, or the packages to read them installed."""
        models = corn_models()
        if models == self._models and self.ui.modelCombo.count:
            return
        self._models = models
        with self._parameters.writing_nothing():
            self.ui.modelCombo.clear()
            for model in models:
                self.ui.modelCombo.addItem(model.title, model.name)
            if not models:
                self.ui.modelCombo.addItem(_("No model found"), "")

    def use_model(self, name: str) -> None:
        """Choose a model by its name, as after it was made in the other tab."""
        self.list_models()
        self._parameters.store("model", name)

    # What the user does

    def apply(self) -> None:
        """Start the job that the panel describes."""
        parameters = self._parameters.node
        if parameters is None or self._blocker():
            return
        scheduler = scheduler_of(parameters)
        question = _(
            "The voxels of the scans will be sent to {address}. Names and other patient data are not sent. Send them?"
        ).format(address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_schedulers, self.ask):
            return
        scans = scans_of_study(parameters.inputVolume)[0] if parameters.wholeStudy else [parameters.inputVolume]
        self.job.begin()
        slicer.app.processEvents()
        try:
            run = self.logic.segment(
                scans,
                wait=False,
                model=parameters.modelFile.strip() or parameters.model,
                fieldOfView=parameters.fieldOfView,
                mirrored=parameters.mirrored,
                device=parameters.device,
                replaceNan=parameters.replaceNan,
                **scheduler_options(parameters),
                onEvent=self.job.show_event,
                onTick=self.job.show_time,
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
        """Ask the running job to stop."""
        if self.run is not None:
            self.job.show_cancelling()
            self.run.cancel()

    def _on_end(self, run: Any) -> None:
        if run is not self.run and self.run is not None:
            return
        self.run = None
        parameters = self._parameters.node
        if parameters is None:
            self.job.end("cancelled")
            return
        self.job.end(run.state, run.error)
        rows = run.rows
        if rows:
            parameters.shownVolume = rows[0].volume_node
        if rows or len(run.errors) > 1:
            failures = [(name, in_words(error)) for name, error in run.errors]
            self.results.show(rows[0].volume_node if rows else None, failures)
        self.refresh()

    def _on_acknowledged(self, checked: bool) -> None:
        model = self._model()
        if model is not None and not self._parameters.is_showing:
            acknowledge(model.name, checked)
            self.refresh()

    # Between widgets and parameter node

    def refresh(self) -> None:
        """Show the parameter node in the widgets that no connector covers, and say whether Apply can be pressed."""
        with self._parameters.showing() as there:
            if not there:
                return
            parameters, ui, model = self._parameters.node, self.ui, self._model()
            show_scheduler_fields(ui, parameters)
            self._show_study(parameters.inputVolume)
            ui.modelInfoLabel.text = model.description if model is not None else ""
            ui.modelInfoLabel.toolTip = model.protocol if model is not None else ""
            ui.modelInfoLabel.visible = model is not None
            ui.acknowledgeCheckBox.visible = model is not None and model.needs_acknowledgement
            ui.acknowledgeCheckBox.checked = model is not None and is_acknowledged(model.name)
            ui.opacitySlider.enabled = parameters.showDisagreement
            self.results.follow(parameters.shownVolume)
        self.setup.refresh()
        self.job.set_blocker(self._blocker(), _("Mark the left atrium and measure its volume"))

    def _blocker(self) -> str:
        """Why Apply cannot be pressed; empty when it can."""
        parameters, model = self._parameters.node, self._model()
        if parameters is None:
            return str(_("The scene is being closed"))
        reasons = [
            (bool(self.setup.missing), _("Install the missing packages first: the button at the top does it")),
            (parameters.inputVolume is None, _("Choose a volume first")),
            (
                ownership.is_ours(parameters.inputVolume),
                _("This is an overlay of ours: choose the scan that it was made for"),
            ),
            (
                model is None and not parameters.modelFile.strip(),
                _("There is no such model: choose another one, or name a file under Advanced"),
            ),
            (
                model is not None and model.needs_acknowledgement and not is_acknowledged(model.name),
                _("Tick the box about research use first"),
            ),
            (
                parameters.compute == "scheduler" and not parameters.scheduler.strip(),
                _("Type the address of the Dask scheduler under Advanced first"),
            ),
        ]
        return next((str(text) for applies, text in reasons if applies), "")

    def _model(self) -> CornModel | None:
        """The model that would be used; None when its card is not on this computer."""
        parameters = self._parameters.node
        if parameters is None:
            return None
        if parameters.modelFile.strip():
            return model_of_file(parameters.modelFile.strip())
        return next((model for model in self._models if model.name == parameters.model), None)

    def _show_study(self, volume_node: Any) -> None:
        box = self.ui.studyCheckBox
        box.enabled = volume_node is not None
        if volume_node is None:
            box.text = _("All volumes in this study")
            return
        scans, study = scans_of_study(volume_node)
        if study:
            box.text = _("All volumes in this study ({count})").format(count=len(scans))
            box.toolTip = _("Study: {name}").format(name=study)
        else:
            box.text = _("All volumes of the scene ({count})").format(count=len(scans))
            box.toolTip = _("This volume belongs to no study in the subject hierarchy, so the whole scene is meant")

    def _fill_choices(self) -> None:
        ui = self.ui
        for text, field_of_view in (
            (_("Automatic"), "auto"),
            (_("Cropped around the heart"), "crop"),
            (_("Full chest"), "full"),
        ):
            ui.fieldOfViewCombo.addItem(text, field_of_view)
        fill_device_combo(ui.deviceCombo)
        fill_compute_combo(ui.computeCombo)

    def _correct(self, name: str, node: Any) -> Any:
        """A selector whose node is gone picks the next one by itself: then a scan, and no overlay of ours."""
        return self.logic.shownVolume() or node if ownership.is_ours(node) else node
