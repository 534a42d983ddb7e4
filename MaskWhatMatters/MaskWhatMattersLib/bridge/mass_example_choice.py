"""The upper part of the tab "Apply example": marked volumes, or a task file, and which of their segments are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import (
    LABEL_CLASSES,
    Pair,
    label_name,
    name_of,
    repeated_scans,
    store_pairs,
    stored_pairs,
)
from MaskWhatMattersLib.bridge.adapt_checks import check_pair
from MaskWhatMattersLib.bridge.mass_apply_run import read_task_file
from MaskWhatMattersLib.bridge.mass_examples import structure_names
from MaskWhatMattersLib.bridge.mass_results import present_segmentation
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.segment_ticks import SegmentTicks
from MaskWhatMattersLib.bridge.table_cells import set_cell
from MaskWhatMattersLib.errors import InputError, JobError

SCENE, TASK = "scene", "task"
_EXAMPLES = "examples"
_ROW_HEIGHT = 22
_ROWS_SHOWN = 4


class ExampleChoice:
    """Connects the widgets with the parameter node: exampleVolume, exampleLabel, examples, leftOut, taskFile.

    What the two selectors show is an example; "Add another example" keeps it in the table and clears the selectors.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the choice, with references to nodes.
    """

    def __init__(self, ui: Any, parameters: PanelParameters) -> None:
        self.ui, self._parameters = ui, parameters
        self._read: tuple[tuple[str, float], Any, str] | None = None  # (path, time), task or None, problem
        ui.exampleLabelSelector.nodeTypes = list(LABEL_CLASSES)
        self._segments = SegmentTicks(ui.segmentList, ui.segmentsLabel, parameters, "leftOut")
        table = ui.exampleTable
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("Volume"), _("Segmentation")])
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        for column in range(2):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        table.connect("itemSelectionChanged()", self._show_buttons)
        ui.exampleVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._suggest_label())
        ui.addExampleButton.connect("clicked()", self._on_add)
        ui.removeExampleButton.connect("clicked()", self._on_remove)
        ui.taskFileButton.connect("clicked()", self._on_task_file)

    @property
    def source(self) -> str:
        """Where the example comes from."""
        node = self._parameters.node
        return TASK if node is not None and node.exampleSource == TASK else SCENE

    @property
    def examples(self) -> list[Pair]:
        """The examples of the scene: those of the table, and what the selectors show."""
        node = self._parameters.node
        if node is None:
            return []
        kept = stored_pairs(node.parameterNode, _EXAMPLES)
        current = self._current()
        return kept + ([current] if current is not None and current not in kept else [])

    @property
    def task(self) -> Any:
        """The task of the file; None where it cannot be read, or the scene is chosen."""
        return self._read_task()[0] if self.source == TASK else None

    @property
    def names(self) -> list[str]:
        """Names of all segments that the example has."""
        if self.source == TASK:
            return [label.name for label in self.task.labels] if self.task is not None else []
        return structure_names(self.label_nodes)

    @property
    def label_nodes(self) -> list[Any]:
        """Segmentations and label maps of the examples that are in the scene."""
        labels = [slicer.mrmlScene.GetNodeByID(pair.label) for pair in self.examples]
        return [node for node in labels if node is not None]

    @property
    def wanted(self) -> list[str]:
        """Names of those that are ticked."""
        return self._segments.wanted(self.names)

    def problem(self) -> str:
        """Why there is nothing to apply; empty when there is."""
        if self.source == TASK:
            return self._read_task()[1]
        if not self.examples:
            return str(_("Choose a volume and what is marked on it first"))
        problems = self._pair_problems()
        if problems:
            return problems[0]
        if not self.names:
            return str(_("The example has no segment: draw one in the Segment Editor"))
        return "" if self.wanted else str(_("Tick at least one segment first"))

    def suggest(self, volume_node: Any) -> None:
        """Fill in what is likely meant: a volume on which something was drawn, else the one that is given."""
        node = self._parameters.node
        if node is None or node.exampleVolume is not None or self.examples:
            return
        scene = slicer.mrmlScene
        count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        nodes = [scene.GetNthNodeByClass(index, "vtkMRMLSegmentationNode") for index in range(count)]
        drawn = [one.GetNodeReference(one.GetReferenceImageGeometryReferenceRole()) for one in nodes]
        marked = [one for one in drawn if one is not None and present_segmentation(one) is not None]
        node.exampleVolume = marked[0] if marked else volume_node
        self._suggest_label()

    def add(self, volume_node: Any, label_node: Any) -> None:
        """Take a volume with what is marked on it as another example, as after a result was corrected."""
        node = self._parameters.node
        if node is None:
            return
        node.exampleSource = SCENE
        pair = Pair(volume_node.GetID(), label_node.GetID())
        kept = [one for one in self.examples if one.image != pair.image]
        node.exampleVolume, node.exampleLabel = None, None
        store_pairs(node.parameterNode, [*kept, pair], _EXAMPLES)

    def show(self) -> None:
        """Show what the parameter node holds."""
        node, ui = self._parameters.node, self.ui
        if node is None:
            return
        is_task = self.source == TASK
        ui.exampleSceneFrame.visible, ui.exampleTaskFrame.visible = not is_task, is_task
        kept = stored_pairs(node.parameterNode, _EXAMPLES)
        self._fill_table(kept)
        problems = [] if is_task else self._pair_problems()
        ui.exampleProblemLabel.text = "\n".join(problems)
        ui.exampleProblemLabel.visible = bool(problems)
        task = self.task
        ui.taskInfoLabel.text = self._told(task) if is_task else ""
        ui.taskInfoLabel.visible = bool(ui.taskInfoLabel.text)
        self._segments.show(self.names)
        hint = _hint(self.wanted) if not is_task else ""  # a task has its notes
        ui.exampleHintLabel.text, ui.exampleHintLabel.visible = hint, bool(hint)
        self._show_buttons()

    def _current(self) -> Pair | None:
        node = self._parameters.node
        if node is None or node.exampleVolume is None or node.exampleLabel is None:
            return None
        return Pair(node.exampleVolume.GetID(), node.exampleLabel.GetID())

    def _pair_problems(self) -> list[str]:
        """Why the examples of the scene cannot be used, one sentence each."""
        scene, examples = slicer.mrmlScene, self.examples
        checks = [check_pair(scene, pair) for pair in examples]
        refused = [
            f"{name_of(scene, pair.image)}: {check.reason}"
            for pair, check in zip(examples, checks, strict=True)
            if check.status == "refused"
        ]
        return refused + repeated_scans(scene, examples, ())

    def _suggest_label(self) -> None:
        """A segmentation that was drawn on the chosen volume, unless the user chose one for it."""
        node = self._parameters.node
        if not self._parameters.may_store or node.exampleVolume is None:
            return
        drawn = present_segmentation(node.exampleVolume)
        if drawn is not None:
            node.exampleLabel = drawn

    def _on_add(self) -> None:
        node, current = self._parameters.node, self._current()
        if node is None or current is None:
            return
        store_pairs(node.parameterNode, self.examples, _EXAMPLES)
        node.exampleVolume, node.exampleLabel = None, None

    def _on_remove(self) -> None:
        node = self._parameters.node
        kept = stored_pairs(node.parameterNode, _EXAMPLES)
        table = self.ui.exampleTable
        gone = {row for row in range(table.rowCount) if table.item(row, 0).isSelected()}
        store_pairs(node.parameterNode, [pair for row, pair in enumerate(kept) if row not in gone], _EXAMPLES)

    def _on_task_file(self) -> None:
        chosen = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Task file"), "", _("Task files (*.task.safetensors)")
        )
        if chosen:
            self._parameters.store("taskFile", str(chosen))

    def _read_task(self) -> tuple[Any, str]:
        """The task of the chosen file and what is wrong with it; read once per change of the file."""
        text = self._parameters.node.taskFile.strip() if self._parameters.node is not None else ""
        path = Path(text).expanduser()
        if not text:
            return None, str(_("Choose a task file first"))
        if not path.is_file():
            return None, str(_("There is no file {path}")).format(path=path)
        key = (str(path), path.stat().st_mtime)
        if self._read is None or self._read[0] != key:
            try:
                self._read = (key, read_task_file(path), "")
            except JobError as error:  # packages that are missing may be there later
                return None, str(error)
            except InputError as error:
                self._read = (key, None, str(error))
        return self._read[1], self._read[2]

    def _told(self, task: Any) -> str:
        if task is None:
            node = self._parameters.node
            return self._read_task()[1] if node.taskFile.strip() else ""
        tuned = _("tuned") if task.tuned else _("{count} examples").format(count=len(task.present))
        told = _("Made with {model} ({how}).").format(model=task.model, how=tuned)
        return " ".join([str(told), *task.notes])

    def _fill_table(self, pairs: Sequence[Pair]) -> None:
        table, scene = self.ui.exampleTable, slicer.mrmlScene
        table.visible = self.ui.removeExampleButton.visible = bool(pairs)
        texts = [(name_of(scene, pair.image), label_name(scene, pair)) for pair in pairs]
        shown = [tuple(table.item(row, column).text() for column in range(2)) for row in range(table.rowCount)]
        if texts == shown:
            return
        table.setRowCount(len(pairs))
        for row, cells in enumerate(texts):
            for column, text in enumerate(cells):
                set_cell(table, row, column, text, " - ".join(cells))
        height = _ROW_HEIGHT * min(len(pairs), _ROWS_SHOWN)
        table.setFixedHeight(table.horizontalHeader().height + height + 4)

    def _show_buttons(self) -> None:
        ui, table = self.ui, self.ui.exampleTable
        ready = self._current() is not None and not self._pair_problems()
        ui.addExampleButton.enabled = ready
        ui.addExampleButton.toolTip = (
            _("Keep this example and choose a further one: with several, results get better")
            if ready
            else _("Choose a volume and its segmentation first")
        )
        ui.removeExampleButton.enabled = any(table.item(row, 0).isSelected() for row in range(table.rowCount))


def fill_source_combo(combo: Any) -> None:
    """Offer where the example can come from."""
    for text, source in ((_("Marked volumes"), SCENE), (_("A task file"), TASK)):
        combo.addItem(text, source)


def _hint(names: Sequence[str]) -> str:
    """What to expect of segments whose names say that they are findings; nothing while the packages are missing."""
    try:
        from MaskWhatMattersLib.mass.example import TaskLabel
        from MaskWhatMattersLib.mass.notes import is_pathology
    except ImportError:
        return ""
    ill = [name for name in names if is_pathology(TaskLabel(value=1, name=name))]
    if not ill:
        return ""
    return str(_("{names}: findings are hardly found by example alone. Tune on 3 to 10 cases first.")).format(
        names=", ".join(ill)
    )
