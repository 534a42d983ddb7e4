"""The tab "Tune on my cases": a few marked volumes in, a task out that knows them better than examples alone do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.acknowledgement import is_acknowledged
from MaskWhatMattersLib.bridge.compute_choice import fill_device_combo
from MaskWhatMattersLib.bridge.mass_models import MassModel, mass_models
from MaskWhatMattersLib.bridge.mass_tune_cases import incomplete_cases
from MaskWhatMattersLib.bridge.mass_tune_choice import TuneChoice
from MaskWhatMattersLib.bridge.mass_tune_results import TunedTable, bullets, result_title
from MaskWhatMattersLib.bridge.mass_tune_start import PACKAGES, copy_task, task_folder
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_follower import SceneFollower
from MaskWhatMattersLib.bridge.training_curves import TrainingCurves, problems_in_red
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, describe_failure
from MaskWhatMattersLib.errors import InputError, JobError

_FEW_FOR_FULL = 5


class MassTunePanel:
    """Connects the widgets of the tab with the parameter node and the module's logic.

    Args:
        ui: Widgets by name, of MassInContextTune.ui.
        logic: The module's logic; its `tune` is what Tune calls.
        setup: The strip above both tabs; `missing` names what is not installed.
        use_task: Called with the path of a task file, to choose it in the tab "Apply example".
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, use_task: Callable[[str], None]) -> None:
        self.ui, self.logic, self.setup, self._use_task = ui, logic, setup, use_task
        self.run: Any = None
        self.config: dict[str, Any] = {}
        """Fields of the tuning's settings that differ from the default, for researchers and tests."""
        self._models: list[MassModel] | None = None
        self._problem = ""
        self._made: Path | None = None
        self._fill_choices()
        self._parameters = PanelParameters(
            ui,
            {"tuneStartModel": ui.startCombo, "tuneMode": ui.modeCombo, "tuneDevice": ui.deviceCombo},
            {},
            self.refresh,
        )
        self.cases = TuneChoice(ui, self._parameters, self._show_problem)
        self.job = JobBar(ui, self.tune, self.cancel, _("Tune"))
        self.curves = TrainingCurves(ui)
        self._table = TunedTable(ui.tunedTable)
        self._follower = SceneFollower(self.refresh)
        ui.resultFrame.visible = False
        ui.saveTaskButton.connect("clicked()", self.save_task)
        ui.useTaskButton.connect("clicked()", lambda: self._use_task(str(self._made)))

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that tuning needs."""
        return PACKAGES

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self._parameters.follow(parameters)
        if parameters is None:
            self._follower.stop()
            self.curves.close()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.list_models()
        self._follower.start()
        self.refresh()

    def leave(self) -> None:
        """The user goes to another module; a running tuning goes on."""
        self._follower.stop()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        if self.run is not None:
            self.run.abandon()
            self.run = None
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the problems of a scene that is gone; a task that was made stays."""
        self._problem = ""
        self.job.clear()

    def list_models(self) -> None:
        """Look for models again: one may have been made, or the packages to read them installed."""
        models = mass_models()
        if models == self._models:
            return
        self._models = models
        with self._parameters.writing_nothing():
            combo = self.ui.startCombo
            combo.clear()
            for model in models:
                combo.addItem(model.title, model.name)
            if not models:
                combo.addItem(_("No model found"), "")

    # What the user does

    def tune(self) -> None:
        """Start the tuning that the panel describes."""
        parameters, model = self._parameters.node, self._start_model()
        if parameters is None or model is None or self._blocker():
            return
        self._problem = ""
        self.job.begin()
        self.ui.resultFrame.visible = self.ui.plotFrame.visible = False
        slicer.app.processEvents()
        try:
            run = self.logic.tune(
                self.cases.labelled,
                self.cases.wanted,
                mode=parameters.tuneMode,
                minutes=parameters.tuneMinutes,
                wait=False,
                name=parameters.tuneName,
                startModel=model.name,
                device=parameters.tuneDevice,
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
        """Ask the tuning to stop; what it learned becomes the task."""
        if self.run is not None:
            self.job.show_cancelling()
            self.ui.stageLabel.text = _("Finishing this step and keeping the task...")
            self.run.cancel()

    def save_task(self) -> None:
        """Copy the task to where the user wants it."""
        if self._made is None:
            return
        chosen = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save task file"), self._made.name, _("Task files (*.task.safetensors)")
        )
        if not chosen:
            return
        try:
            written = copy_task(self._made, str(chosen))
        except (InputError, JobError) as error:
            self.job.show_failure(describe_failure(error))
            return
        text = _("Task file written: {path}") if len(written) == 1 else _("Task file written, its model beside: {path}")
        self.ui.logFrame.visible = True
        self.job.show_note(str(text).format(path=written[0]))

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
            self._made = run.model
            self._show_result(run)
            self._parameters.node.tuneName = ""  # the next task needs another one
        self.refresh()

    # What the panel shows

    def refresh(self) -> None:
        """Show the parameter node and say whether the tuning can start."""
        with self._parameters.showing() as there:
            if not there:
                return
            self.cases.show()
            self._follower.watch(self.cases.segmentations)
            self.ui.summaryLabel.text = self._summary()
        self.setup.refresh()
        self.job.set_blocker(self._blocker(), _("Tune a task on these cases"))

    def _blocker(self) -> str:
        """Why the tuning cannot start; empty when it can."""
        parameters = self._parameters.node
        if parameters is None:
            return str(_("The scene is being closed"))
        model = self._start_model()
        research_only = _(
            "The start model is for research only: choose it in the tab Apply example and tick the box there first"
        )
        lack = self.cases.lack()
        reasons = [
            (bool(self.setup.missing), _("Install the missing packages first: the button at the top does it")),
            (model is None, _("There is no model to start from: put one into the models folder first")),
            *((True, problem) for problem in self.cases.problems()[:1]),
            (bool(lack), lack),
            (model is not None and model.needs_acknowledgement and not is_acknowledged(model.name), research_only),
        ]
        reason = next((str(text) for applies, text in reasons if applies), "")
        return reason or self._name_problem(parameters)

    def _name_problem(self, parameters: Any) -> str:
        try:
            task_folder(parameters.tuneName)
        except InputError as error:
            return str(error)
        return ""

    def _start_model(self) -> MassModel | None:
        """The model to start from; None where there is none."""
        combo = self.ui.startCombo
        name = combo.itemData(combo.currentIndex)
        return next((model for model in self._models or [] if model.name == name), None)

    def _summary(self) -> str:
        """What will happen, before it is started; or what is wrong."""
        problems = [self._problem] if self._problem else self.cases.problems()
        if problems:
            return problems_in_red(problems)
        lack = self.cases.lack()
        if lack:
            return lack
        cases, wanted, mode = self.cases.labelled, self.cases.wanted, self._parameters.node.tuneMode
        measuring = self.cases.measuring
        segments = ", ".join(wanted[:4]) + (", ..." if len(wanted) > 4 else "")
        sentences = [
            _("Learns {segments} from {count} cases.").format(segments=segments, count=len(cases) - len(measuring)),
            _("{count} held out to measure the result.").format(count=len(measuring))
            if measuring
            else _("None can be held out, since each is the only other one with some segment."),
        ]
        if _has_baseline(len(cases)):
            sentences.append(_("Half of the time goes to a plain network on the same cases, to compare with."))
        else:
            sentences.append(_("With five cases or more, a plain network learns them, too, to compare with."))
        if mode == "full" and len(cases) < _FEW_FOR_FULL:
            sentences.append(_("To tune the whole network, five cases or more are better."))
        sentences += incomplete_cases(slicer.mrmlScene, cases, wanted)[:1]
        return " ".join(map(str, sentences))

    def _show_problem(self, text: str) -> None:
        self._problem = text
        self.refresh()

    def _show_curves(self, run: Any) -> None:
        self.curves.show(run, run.point_text(run.steps, run.values))

    def _show_result(self, run: Any) -> None:
        ui, notes = self.ui, list(run.notes)
        ui.resultLabel.text = result_title(run)
        if run.tuned is not None:
            self._table.show(run.tuned, has_baseline=run.has_baseline)
        else:
            ui.tunedTable.visible = False
        ui.resultNotesLabel.text = bullets(notes) if notes else ""
        ui.resultNotesLabel.visible = bool(notes)
        if run.state != "done":
            ui.logLineLabel.text = _("Kept the task after {steps} steps").format(steps=run.steps)

    def _fill_choices(self) -> None:
        for text, mode in (
            (_("Examples only: the network stays (minutes)"), "tokens"),
            (_("Quick: examples and the last layers"), "head"),
            (_("Full: the whole network (longer)"), "full"),
        ):
            self.ui.modeCombo.addItem(text, mode)
        fill_device_combo(self.ui.deviceCombo)


def _has_baseline(cases: int) -> bool:
    """Whether the job trains a plain network, too."""
    try:
        from MaskWhatMattersLib.mass.tune_config import MassTuneConfig
    except ImportError:
        return False
    return MassTuneConfig().has_baseline(cases)
