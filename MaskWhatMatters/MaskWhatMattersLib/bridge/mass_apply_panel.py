"""The tab "Apply example": what is marked in one volume is looked for in others; the parameter node knows it all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.acknowledgement import acknowledge, is_acknowledged
from MaskWhatMattersLib.bridge.compute_choice import (
    agrees_to_send,
    fill_compute_combo,
    fill_device_combo,
    scheduler_of,
    scheduler_options,
    show_scheduler_fields,
)
from MaskWhatMattersLib.bridge.example_segments import times_of_marks
from MaskWhatMattersLib.bridge.mass_apply_run import PACKAGES
from MaskWhatMattersLib.bridge.mass_example_choice import TASK, ExampleChoice, fill_source_combo
from MaskWhatMattersLib.bridge.mass_models import MassModel, mass_model_of_file, mass_models
from MaskWhatMattersLib.bridge.mass_results_view import MassResultsView
from MaskWhatMattersLib.bridge.mass_target_choice import TargetChoice, fill_existing_combo, fill_target_combo
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_follower import SceneFollower
from MaskWhatMattersLib.bridge.widgets import JobBar, SetupStrip, ask_user, describe_failure, in_words
from MaskWhatMattersLib.errors import InputError, JobError

_LARGEST = {"auto": None, "yes": True, "no": False}


class MassApplyPanel:
    """Connects the widgets of the .ui file with the parameter node and the module's logic.

    Args:
        ui: Widgets by name.
        logic: The module's logic; its `applyExample` is what Apply calls.
        setup: The strip above both tabs.
        ask: Asks the user for consent; takes text and title.
    """

    def __init__(self, ui: Any, logic: Any, setup: SetupStrip, ask: Callable[[str, str], bool] = ask_user) -> None:
        self.ui, self.logic, self.setup, self.ask = ui, logic, setup, ask
        self.run: Any = None
        self._is_closed = False  # a cancelled job may end after its panel
        self._models: list[MassModel] = []
        self._agreed_schedulers: set[str] = set()
        self._learned: Any = None  # what the logic's task was made of, as `_question` describes it
        self._fill_choices()
        self._parameters = PanelParameters(
            ui,
            {
                "exampleSource": ui.exampleSourceCombo,
                "targetKind": ui.targetKindCombo,
                "existing": ui.existingCombo,
                "keepLargest": ui.keepLargestCombo,
                "model": ui.modelCombo,
                "device": ui.deviceCombo,
                "compute": ui.computeCombo,
            },
            {
                "exampleVolume": ui.exampleVolumeSelector,
                "exampleLabel": ui.exampleLabelSelector,
                "sequence": ui.sequenceSelector,
            },
            self.refresh,
        )
        self.job = JobBar(ui, self.apply, self.cancel)
        self.example = ExampleChoice(ui, self._parameters)
        self.targets = TargetChoice(ui, self._parameters, self._example_volumes)
        self._follower = SceneFollower(self.refresh)
        self.results = MassResultsView(ui, self.add_example, lambda: self.example.examples)
        ui.acknowledgeCheckBox.connect("toggled(bool)", self._on_acknowledged)
        ui.advancedButton.connect("contentsCollapsed(bool)", lambda collapsed: self.refresh())
        ui.saveTaskButton.connect("clicked()", self.save_task)

    # Life of the panel

    def required_packages(self) -> tuple[str, ...]:
        """Import names of the packages that applying an example needs."""
        parameters = self._parameters.node
        return () if parameters is not None and parameters.compute == "scheduler" else PACKAGES

    def set_parameters(self, parameters: Any) -> None:
        """Follow a parameter node; None leaves the present one."""
        self.setup.forget()
        self._parameters.follow(parameters)
        if parameters is None:
            self._follower.stop()
            self.results.stop()
            self.job.set_blocker(_("The scene is being closed"))
            return
        self.list_models()
        shown = self.logic.shownVolume()
        self.example.suggest(shown)
        self.targets.suggest(shown)
        self.results.start()
        self._follower.start()
        self.refresh()

    def leave(self) -> None:
        """The user goes to another module; a running job goes on."""
        self._follower.stop()
        self.results.pause()

    def close(self) -> None:
        """Stop everything before the panel is destroyed."""
        self._is_closed = True
        if self.run is not None:
            self.run.cancel()
            self.run = None
        self.set_parameters(None)

    def on_scene_closed(self) -> None:
        """Forget the last job of a scene that is gone."""
        self.job.clear()
        self._learned = None

    def list_models(self) -> None:
        """Look for models again: one may have been made, or the packages to read them installed."""
        models = mass_models()
        if models == self._models and self.ui.modelCombo.count:
            return
        self._models = models
        with self._parameters.writing_nothing():
            self.ui.modelCombo.clear()
            for model in models:
                self.ui.modelCombo.addItem(model.title, model.name)
            if not models:
                self.ui.modelCombo.addItem(_("No model found"), "")

    def use_task(self, path: str) -> None:
        """Choose a task file, as after one was tuned in the other tab."""
        parameters = self._parameters.node
        if parameters is not None:
            parameters.taskFile, parameters.exampleSource = path, TASK
            self.list_models()
            self.refresh()

    # What the user does

    def apply(self) -> None:
        """Start the job that the panel describes."""
        if self._blocker():
            self.refresh()  # something changed unseen, for example a transform: say what
        else:
            self._start(self.targets.chosen, self._on_end)

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self.run is not None:
            self.job.show_cancelling()
            self.run.cancel()

    def add_example(self, volume_node: Any, segmentation: Any) -> None:
        """Take a corrected result as another example."""
        self.example.add(volume_node, segmentation)
        self.refresh()

    def save_task(self) -> None:
        """Keep the example as a task file; it is learned first where that was not done yet."""
        if self._save_blocker():
            return
        chosen = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save task file"), "", _("Task files (*.task.safetensors)")
        )
        if not chosen:
            return
        if self._learned == self._question():
            self._write_task(str(chosen))
        else:
            self._start([], lambda run: self._on_learned(run, str(chosen)))

    def _start(self, targets: Any, on_end: Callable[[Any], None]) -> None:
        parameters, scene = self._parameters.node, slicer.mrmlScene
        scheduler = scheduler_of(parameters)
        question = _(
            "The voxels of the scans will be sent to {address}. Names and other patient data are not sent. Send them?"
        ).format(address=scheduler)
        if not agrees_to_send(scheduler, question, self._agreed_schedulers, self.ask):
            return
        pairs = [] if self.example.source == TASK else self.example.examples
        asked = self._question()
        self.job.begin()
        slicer.app.processEvents()
        try:
            run = self.logic.applyExample(
                [scene.GetNodeByID(pair.image) for pair in pairs],
                [scene.GetNodeByID(pair.label) for pair in pairs],
                targets,
                self.example.wanted,
                wait=False,
                task=self.example.task,
                existing=parameters.existing,
                output=self.targets.output,
                model=None if self.example.source == TASK else parameters.modelFile.strip() or parameters.model,
                device=parameters.device,
                settings={
                    "threshold": parameters.threshold,
                    "keep_largest": _LARGEST.get(parameters.keepLargest),
                    "skip_empty": parameters.skipEmpty,
                    "quality": parameters.quality,
                },
                replaceNan=parameters.replaceNan,
                **scheduler_options(parameters),
                onEvent=self.job.show_event,
                onTick=self.job.show_time,
                onEnd=lambda run: self._on_run_end(run, asked, on_end),
            )
        except (InputError, JobError) as error:
            self.job.end("failed", error)
        except Exception as error:  # the panel must not stay in the state "running"
            self.job.end("failed", error)
            raise
        else:
            self.run = None if run.done else run

    def _on_run_end(self, run: Any, asked: Any, on_end: Callable[[Any], None]) -> None:
        if self._is_closed or (run is not self.run and self.run is not None):
            return
        self.run = None
        if self._parameters.node is None:
            self.job.end("cancelled")
            return
        if run.task is not None:
            self._learned = asked
        self.job.end(run.state, run.error)
        on_end(run)
        self.refresh()

    def _on_end(self, run: Any) -> None:
        if run.made or len(run.errors) > 1:
            self.results.show(run.file_rows, [(name, in_words(error)) for name, error in run.errors], run.notes)

    def _on_learned(self, run: Any, path: str) -> None:
        if run.state == "done":
            self._write_task(path)

    def _write_task(self, path: str) -> None:
        try:
            written = self.logic.saveTask(path)
        except (InputError, JobError) as error:
            self.job.show_failure(describe_failure(error))
        else:
            self.job.show_note(str(_("Task file written: {path}")).format(path=written))

    def _on_acknowledged(self, checked: bool) -> None:
        name = self._research_name()
        if name and not self._parameters.is_showing:
            acknowledge(name, checked)
            self.refresh()

    # Between widgets and parameter node

    def refresh(self) -> None:
        """Show the parameter node in the widgets that no connector covers, and say whether Apply can be pressed."""
        with self._parameters.showing() as there:
            if not there:
                return
            parameters, ui, model = self._parameters.node, self.ui, self._model()
            show_scheduler_fields(ui, parameters)
            self.example.show()
            self.targets.show()
            self._follower.watch(node for node in self.example.label_nodes if node.IsA("vtkMRMLSegmentationNode"))
            is_task = self.example.source == TASK
            ui.modelCombo.enabled = ui.modelEdit.enabled = not is_task
            ui.modelInfoLabel.text = model.description if model is not None else ""
            ui.modelInfoLabel.visible = model is not None and not is_task
            research = self._research_name()
            ui.acknowledgeCheckBox.visible = bool(research)
            ui.acknowledgeCheckBox.checked = bool(research) and is_acknowledged(research)
        self.setup.refresh()
        save_blocker = self._save_blocker()
        self.ui.saveTaskButton.enabled = not save_blocker and not self.job.is_busy
        self.ui.saveTaskButton.toolTip = save_blocker or _(
            "Keep what was learned from the example, without its images, to apply it later or elsewhere"
        )
        blocker = self._blocker()
        self.job.set_blocker(blocker, "" if blocker else self._ready())

    def _ready(self) -> str:
        wanted = self.example.wanted
        listed = ", ".join(wanted[:4]) + (", ..." if len(wanted) > 4 else "")
        return str(_("Look for {segments} in {targets}")).format(segments=listed, targets=self.targets.summary())

    def _blocker(self) -> str:
        """Why Apply cannot be pressed; empty when it can."""
        if self._parameters.node is None:
            return str(_("The scene is being closed"))
        return self._lack() or self.example.problem() or self.targets.problem() or self._place_lack()

    def _save_blocker(self) -> str:
        """Why there is no task to be saved; empty when there is."""
        if self._parameters.node is None:
            return str(_("The scene is being closed"))
        if self.example.source == TASK:
            return str(_("This task is a file already"))
        return self._lack() or self.example.problem() or self._place_lack()

    def _lack(self) -> str:
        """What the model or the installation lacks."""
        parameters = self._parameters.node
        research = self._research_name()
        reasons = [
            (bool(self.setup.missing), _("Install the missing packages first: the button at the top does it")),
            (
                self.example.source != TASK and self._model() is None and not parameters.modelFile.strip(),
                _("There is no such model: choose another one, or name a file under Advanced"),
            ),
            (bool(research) and not is_acknowledged(research), _("Tick the box about research use first")),
        ]
        return next((str(text) for applies, text in reasons if applies), "")

    def _place_lack(self) -> str:
        parameters = self._parameters.node
        if parameters.compute == "scheduler" and not parameters.scheduler.strip():
            return str(_("Type the address of the Dask scheduler under Advanced first"))
        return ""

    def _model(self) -> MassModel | None:
        """The model that would be used; None when its card is not on this computer."""
        parameters = self._parameters.node
        if parameters is None:
            return None
        if self.example.source == TASK:
            task = self.example.task
            return next((one for one in self._models if task is not None and one.full_name == task.model), None)
        if parameters.modelFile.strip():
            return mass_model_of_file(parameters.modelFile.strip())
        return next((model for model in self._models if model.name == parameters.model), None)

    def _research_name(self) -> str:
        """What has to be acknowledged as for research only; empty when nothing has."""
        task = self.example.task
        if task is not None and task.research_only:
            return str(task.model)
        model = self._model()
        return model.name if model is not None and model.needs_acknowledgement else ""

    def _question(self) -> tuple[Any, ...]:
        """What a task is made of, to know whether there is one already."""
        parameters = self._parameters.node
        times = [times_of_marks(node) for node in self.example.label_nodes]
        model = parameters.modelFile.strip() or parameters.model
        return (self.example.source, tuple(self.example.examples), tuple(times), tuple(self.example.wanted), model)

    def _example_volumes(self) -> set[str]:
        """IDs of the volumes that are no targets."""
        return set() if self.example.source == TASK else {pair.image for pair in self.example.examples}

    def _fill_choices(self) -> None:
        ui = self.ui
        fill_source_combo(ui.exampleSourceCombo)
        fill_target_combo(ui.targetKindCombo)
        fill_existing_combo(ui.existingCombo)
        for text, choice in ((_("Where the example is one piece"), "auto"), (_("Always"), "yes"), (_("Never"), "no")):
            ui.keepLargestCombo.addItem(text, choice)
        fill_device_combo(ui.deviceCombo)
        fill_compute_combo(ui.computeCombo)
