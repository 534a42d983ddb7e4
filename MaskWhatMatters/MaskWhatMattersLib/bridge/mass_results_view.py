"""What an example found, in the panel and in the views: worst first; corrected results become examples."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.mass_result_table import MassResultTable, quality_text
from MaskWhatMattersLib.bridge.mass_results import ExampleRow, example_rows, worst_first
from MaskWhatMattersLib.bridge.mass_sequences import copy_frame, select_frame, sequence_rows
from MaskWhatMattersLib.bridge.overlays import show_overlay
from MaskWhatMattersLib.bridge.scene_follower import SceneFollower
from MaskWhatMattersLib.bridge.scene_views import fit_slice_views
from MaskWhatMattersLib.bridge.table_cells import LIGHTS, milliliters
from MaskWhatMattersLib.errors import InputError

Shown = tuple[Any, Any]
"""Volume node and segmentation node."""


class MassResultsView:
    """The lower part of the tab; it follows the scene and runs no job.

    Args:
        ui: Widgets by name.
        on_example: Called with volume node and segmentation node that are to become another example.
        examples: Gives the examples that the panel has.
    """

    def __init__(self, ui: Any, on_example: Callable[[Any, Any], None], examples: Callable[[], list[Pair]]) -> None:
        self._ui, self._on_example, self._examples = ui, on_example, examples
        self._rows: list[ExampleRow] = []
        self._file_rows: list[ExampleRow] = []
        self._loaded: dict[str, Shown] = {}
        self._failures: list[tuple[str, str]] = []
        self._notes: list[str] = []  # of the last run, on no single segment
        self._current = -1
        self._table = MassResultTable(ui.resultTable, self._on_row)
        self._follower = SceneFollower(self.refresh)
        ui.resultLabel.connect("linkActivated(QString)", lambda link: self.show_in_views())
        ui.addResultButton.connect("clicked()", self._on_add)
        self._fill()

    def start(self) -> None:
        """Follow the scene from now on; what was shown in it before stays."""
        self.pause()
        self._follower.start()
        self.refresh()

    def pause(self) -> None:
        """Look away while the panel is not on screen: counting voxels would slow down whoever edits a segment."""
        self._follower.stop()

    def stop(self) -> None:
        """Let go of the scene, as before it is closed or the panel is destroyed."""
        self.pause()
        self._rows, self._file_rows, self._failures, self._notes = [], [], [], []
        self._loaded, self._current = {}, -1
        self._fill()

    def show(
        self, file_rows: Sequence[ExampleRow], failures: Sequence[tuple[str, str]], notes: Sequence[str] = ()
    ) -> None:
        """Show what a run gave, the worst first.

        Args:
            file_rows: Of files; the scene has the others.
            failures: (name of a target, reason) of what it could not segment.
            notes: What the user should know of the run as a whole, in sentences.
        """
        again = {row.file for row in file_rows}
        self._file_rows = [row for row in self._file_rows if row.file not in again] + list(file_rows)
        self._loaded = {file: nodes for file, nodes in self._loaded.items() if file not in again}
        self._failures, self._notes, self._current = list(failures), list(notes), -1
        self.refresh()
        if self._rows and not self._failures:
            self._current = 0
            self._fill()
            if not self._rows[0].file:
                self.show_in_views()

    def refresh(self) -> None:
        """Look at the scene again."""
        chosen = self._row()
        of_scene = example_rows(slicer.mrmlScene)
        of_frames = list(sequence_rows(slicer.mrmlScene))
        self._rows = worst_first([*of_scene, *of_frames, *(row for row in self._file_rows if not self._is_loaded(row))])
        self._follower.watch({id(row.node): row.node for row in of_scene}.values())
        if chosen is not None:
            same = [place for place, row in enumerate(self._rows) if _place(row) == _place(chosen)]
            self._current = len(self._failures) + same[0] if same else -1
        self._fill()

    def show_in_views(self) -> None:
        """Show the scan of the current row with its segmentation, and go to the middle of the segment."""
        row = self._row()
        nodes = self._nodes_of(row) if row is not None else None
        if row is None or nodes is None:
            return
        volume, segmentation = nodes
        for other in self._rows:
            display = other.node.GetDisplayNode() if other.volume_node is not None else None
            if display is not None:
                display.SetVisibility(other.node is segmentation)
        for pair in self._examples():  # marks of another scan would lie in the wrong places
            marks = slicer.mrmlScene.GetNodeByID(pair.label)
            if marks is not None and marks.GetDisplayNode() is not None:
                marks.GetDisplayNode().SetVisibility(pair.image == volume.GetID())
        if segmentation.GetDisplayNode() is not None:
            segmentation.GetDisplayNode().SetVisibility(True)
        if show_overlay(slicer.mrmlScene, volume, None, 0.0):
            fit_slice_views()
        segment_id = row.segment_id or segmentation.GetSegmentation().GetSegmentIdBySegmentName(row.segment)
        center = segmentation.GetSegmentCenterRAS(segment_id) if segment_id and row.volume_ml else None
        if center is not None:
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *center)

    def _row(self) -> ExampleRow | None:
        place = self._current - len(self._failures)
        return self._rows[place] if 0 <= place < len(self._rows) else None

    def _nodes_of(self, row: ExampleRow) -> Shown | None:
        """Volume and segmentation of a row in the scene; files are loaded."""
        if row.volume_node is not None:
            return row.volume_node, row.node
        if row.frame is not None:
            return select_frame(row)
        if row.load is None:
            return None
        try:
            nodes: Shown = row.load()
        except InputError as error:
            self._failures.append((row.target, str(error)))
            self._current = len(self._failures) - 1
            return None
        self._loaded[row.file] = nodes
        self.refresh()
        return nodes

    def _is_loaded(self, row: ExampleRow) -> bool:
        """Whether a file is in the scene, which has its rows then."""
        return any(node.GetScene() is not None for node in self._loaded.get(row.file, ())[1:])

    # What the user does

    def _on_row(self, index: int) -> None:
        self._current = index
        row = self._row()
        if row is not None and not row.file:
            self.show_in_views()
        self._fill()

    def _on_add(self) -> None:
        row = self._row()
        if row is None:
            return
        nodes = copy_frame(row) if row.frame is not None else self._nodes_of(row)
        if nodes is not None:
            self._on_example(*nodes)
        self._fill()

    # Show

    def _show_button(self, row: ExampleRow | None) -> None:
        lacking = [
            (row is None, _("Choose a row first")),
            (row is not None and self._is_example(row), _("This volume is an example already")),
        ]
        reason = next((text for applies, text in lacking if applies), "")
        button = self._ui.addResultButton
        button.enabled = not reason
        button.toolTip = reason or _("Correct its segments in the Segment Editor first: the next ones profit from it")

    def _is_example(self, row: ExampleRow) -> bool:
        """Whether the scan of a row is an example; a frame becomes one as a copy of the same name."""
        scans = [slicer.mrmlScene.GetNodeByID(pair.image) for pair in self._examples()]
        if row.frame is not None:
            return any(scan is not None and scan.GetName() == row.target for scan in scans)
        return row.volume_node is not None and any(scan is row.volume_node for scan in scans)

    def _fill(self) -> None:
        ui, row = self._ui, self._row()
        ui.resultButton.visible = bool(self._rows or self._failures)
        self._table.fill(self._failures, self._rows, self._current)
        ui.noticeLabel.visible = ui.addResultButton.visible = bool(self._rows)
        self._show_button(row)
        notes = [*self._notes, *(row.notes if row is not None else ())]
        told = ""
        if row is not None:
            name = html.escape(_("{target}: {segment}").format(target=row.target, segment=row.segment))
            figures = _("{volume} mL, quality {quality}").format(
                volume=milliliters(row.volume_ml), quality=quality_text(row)
            )
            told = f'<a href="show">{name}</a> ({figures})'
        elif 0 <= self._current < len(self._failures):
            target, reason = self._failures[self._current]
            told = f"<b>{html.escape(target)}</b>: {html.escape(reason)}"
        ui.resultLabel.text, ui.resultLabel.visible = told, bool(told)
        amber = LIGHTS["amber"]
        ui.notesLabel.text = "<br>".join(f'<span style="color:{amber}">&#9888;</span> {html.escape(n)}' for n in notes)
        ui.notesLabel.visible = bool(notes)
        models = dict.fromkeys(row.model for row in self._rows)
        ui.noticeLabel.text = _("Not for clinical use. Model {model}.").format(model=", ".join(models))


def _place(row: ExampleRow) -> tuple[Any, ...]:
    """What makes a row the same one after the scene changed."""
    return (row.node, row.segment_id, row.frame, row.file, row.segment)
