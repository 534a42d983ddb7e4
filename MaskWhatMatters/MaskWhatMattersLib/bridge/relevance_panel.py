"""The tab "Relevance": prompts in, a table of findings out; everything it knows is in the parameter node."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.acknowledgement import acknowledge, is_acknowledged
from MaskWhatMattersLib.bridge.answers import Row, clean_prompts
from MaskWhatMattersLib.bridge.compute_choice import (
    agrees_to_send,
    fill_compute_combo,
    fill_device_combo,
    scheduler_of,
    scheduler_options,
    show_scheduler_fields,
)
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.prompt_history import PromptHistory
from MaskWhatMattersLib.bridge.regions import REGION_CLASSES, segment_names
from MaskWhatMattersLib.bridge.results_view import ResultsView
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, ask_user, describe_failure
from MaskWhatMattersLib.errors import InputError, JobError
from MaskWhatMattersLib.relevance.registry import LocalizerInfo, available_localizers

_ALL_SEGMENTS = ""


class RelevancePanel:
    """Connects the widgets of the .ui file with the parameter node and the module's logic.

    Args:
        ui: Widgets by name.
        logic: The module's logic; its `showRelevance` is what Apply calls.
        setup: The strip above the tabs.
        icons: Paths of the icons for a visible and a hidden result.
        ask: Asks the user for consent; takes text and title.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        setup: SetupStrip,
        icons: tuple[str, str],
        ask: Callable[[str, str], bool] = ask_user,
    ) -> None:
        self.ui, self.logic, self.setup, self.ask = ui, logic, setup, ask
        self.run: Any = None
        self._agreed_schedulers: set[str] = set()
        self._localizers: dict[str, LocalizerInfo] = available_localizers()
        self._history = PromptHistory(ui.historyCombo, self._take_prompts)
        self._fill_choices()
        self._bound = PanelParameters(
            ui,
            {
                "localizer": ui.localizerCombo,
                "device": ui.deviceCombo,
                "modality": ui.modalityCombo,
                "compute": ui.computeCombo,
            },
            {"inputVolume": ui.inputSelector, "regionNode": ui.regionSelector},
            self.refresh,
            self._correct,
        )
        self.job = JobBar(ui, self.apply, self.cancel)
        self.results = ResultsView(ui, icons, self._save_results)
        self._connect()

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that the chosen localizer needs."""
        remote = self._parameters is not None and self._parameters.compute == "scheduler"
        return () if remote else tuple(self._localizer().requires)

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        if None not in (parameters, self._parameters) and parameters.parameterNode is self._parameters.parameterNode:
            self.setup.forget()
            self.refresh()
            return
        self._bound.follow(parameters)
        self.results.stop()
        if parameters is None:
            self.job.set_blocker(_("The scene is being closed"))
            return
        if parameters.inputVolume is None:
            parameters.inputVolume = self.logic.shownVolume()
        self.refresh()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        self.results.stop()
        if self.run is not None:
            self.run.cancel()
            self.run = None
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the results of a scene that is gone."""
        self.job.clear()

    def use_finetuned(self, name: str) -> None:
        """Choose a segmentation model that was finetuned here, with the names of its labels as prompts."""
        from MaskWhatMattersLib.models import find_model, read_card

        if self._parameters is None:
            return
        try:
            labels = [label.name for label in read_card(find_model(name)).labels if label.value > 0]
        except InputError as error:  # it was removed meanwhile
            self.job.show_failure(describe_failure(error))
            return
        self._parameters.localizer, self._parameters.model = "finetuned", name
        self._parameters.prompts = "\n".join(dict.fromkeys(labels))

    # What the user does

    def apply(self) -> None:
        """Start the job that the panel describes."""
        parameters = self._parameters
        if parameters is None or self._blocker():
            return
        scheduler = scheduler_of(parameters)
        question = _(
            "The voxels of the scan and your prompts will be sent to {address}. "
            "Names and other patient data are not sent. Send them?"
        ).format(address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_schedulers, self.ask):
            return
        region = parameters.regionNode if self._localizer().needs_roi else None
        self.job.begin()
        slicer.app.processEvents()
        try:
            self.run = self.logic.showRelevance(
                parameters.inputVolume,
                parameters.prompts,
                localizer=parameters.localizer,
                wait=False,
                model=parameters.model.strip() or None,
                device=parameters.device,
                modality=parameters.modality or None,
                regionNode=region,
                segmentId=parameters.segmentId or None,
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
            self._history.add("\n".join(clean_prompts(parameters.prompts)))

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self.run is not None:
            self.job.show_cancelling()
            self.run.cancel()

    def _on_end(self, run: Any) -> None:
        if run is not self.run and self.run is not None:
            return
        self.run = None
        if self._parameters is None:
            self.job.end("cancelled")
            return
        self.job.end(run.state, run.error)
        if run.state == "done":
            self.results.add(run.volume_node, run.rows)
        self.refresh()

    # Between widgets and parameter node

    def refresh(self) -> None:
        """Show the parameter node in the widgets that no connector covers, and say whether Apply can be pressed."""
        with self._bound.showing() as there:
            if not there:
                return
            ui, parameters = self.ui, self._parameters
            if ui.promptEdit.toPlainText() != parameters.prompts:
                ui.promptEdit.setPlainText(parameters.prompts)
            self._show_localizer()
            self._fill_segments(parameters.regionNode, parameters.segmentId)
            show_scheduler_fields(ui, parameters)
            self.results.show(parameters.resultVolume, json.loads(parameters.results or "[]"))
        self.setup.refresh()
        self.job.set_blocker(self._blocker(), _("Find the prompts in the volume (Ctrl+Enter in the prompt box)"))

    def _blocker(self) -> str:
        """Why Apply cannot be pressed; empty when it can."""
        parameters, info = self._parameters, self._localizer()
        if parameters is None:
            return str(_("The scene is being closed"))
        remote = parameters.compute == "scheduler"
        reasons = [
            (parameters.inputVolume is None, _("Choose a volume first")),
            (
                ownership.is_ours(parameters.inputVolume),
                _("This is a relevance map: choose the scan that it was made for"),
            ),
            (not parameters.prompts.strip(), _("Type what to find first, for example: left lung")),
            (
                info.needs_roi and parameters.regionNode is None,
                _("Choose the region first: a segmentation, a label map or a box"),
            ),
            (info.needs_model and not parameters.model.strip(), _("Name a model folder under Advanced first")),
            (
                info.needs_acknowledgement and not is_acknowledged(info.name),
                _("Tick the box about research use first"),
            ),
            (
                remote and not parameters.scheduler.strip(),
                _("Type the address of the Dask scheduler under Advanced first"),
            ),
            (bool(self.setup.missing), _("Install the missing packages first: the button at the top does it")),
        ]
        return next((str(text) for applies, text in reasons if applies), "")

    @property
    def _parameters(self) -> Any:
        return self._bound.node

    def _fill_choices(self) -> None:
        ui = self.ui
        for info in self._localizers.values():
            ui.localizerCombo.addItem(info.title, info.name)
        fill_device_combo(ui.deviceCombo)
        fill_compute_combo(ui.computeCombo)
        for text, modality in ((_("As the scan says"), ""), ("CT", "CT"), ("MR", "MR"), (_("X-ray"), "XR")):
            ui.modalityCombo.addItem(text, modality)
        ui.regionSelector.nodeTypes = list(REGION_CLASSES)

    def _connect(self) -> None:
        ui = self.ui
        ui.promptEdit.connect("textChanged()", lambda: self._bound.store("prompts", ui.promptEdit.toPlainText()))
        ui.segmentCombo.connect(
            "currentIndexChanged(int)", lambda index: self._bound.store("segmentId", ui.segmentCombo.itemData(index))
        )
        ui.acknowledgeCheckBox.connect("toggled(bool)", self._on_acknowledged)
        # One for each Enter key; only in the prompt box, since the same keys may mean something else elsewhere.
        self._shortcuts = [qt.QShortcut(ui.promptEdit), qt.QShortcut(ui.promptEdit)]
        for shortcut, keys in zip(self._shortcuts, ("Ctrl+Return", "Ctrl+Enter"), strict=True):
            shortcut.setKey(qt.QKeySequence(keys))
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", self._on_shortcut)

    def _correct(self, name: str, node: Any) -> Any:
        """A selector whose node is gone picks the next one by itself: then a scan, and no overlay of ours."""
        return self.logic.shownVolume() or node if name == "inputVolume" and ownership.is_ours(node) else node

    def _save_results(self, volume_node: Any, rows: list[Row]) -> None:
        parameters = self._parameters
        if parameters is None:
            return
        with slicer.util.NodeModify(parameters):
            parameters.resultVolume = volume_node
            parameters.results = json.dumps(rows)

    def _take_prompts(self, text: str) -> None:
        self.ui.promptEdit.setPlainText(text)

    def _on_shortcut(self) -> None:
        if not self.job.is_busy:
            self.job.press()

    # The localizer

    def _localizer(self) -> LocalizerInfo:
        name = self._parameters.localizer if self._parameters is not None else "builtin"
        return self._localizers.get(name) or next(iter(self._localizers.values()))

    def _show_localizer(self) -> None:
        ui, info = self.ui, self._localizer()
        ui.localizerInfoLabel.text = _("{description} Licence: {licence}.").format(
            description=info.description, licence=info.licence
        )
        ui.acknowledgeCheckBox.visible = info.needs_acknowledgement
        ui.acknowledgeCheckBox.checked = is_acknowledged(info.name)
        ui.regionFrame.visible = info.needs_roi

    def _on_acknowledged(self, checked: bool) -> None:
        if not self._bound.is_showing:
            acknowledge(self._localizer().name, checked)
            self.refresh()

    def _fill_segments(self, node: Any, segment_id: str) -> None:
        combo = self.ui.segmentCombo
        is_segmentation = node is not None and node.IsA("vtkMRMLSegmentationNode") and self._localizer().needs_roi
        combo.visible = is_segmentation
        choices = [(_ALL_SEGMENTS, _("All segments"))] + (segment_names(node) if is_segmentation else [])
        if [combo.itemData(index) for index in range(combo.count)] != [one for one, _name in choices]:
            combo.clear()
            for one, name in choices:
                combo.addItem(name, one)
        combo.setCurrentIndex(max(0, combo.findData(segment_id)))
