"""Left atria in the panel and in the views: figures, traffic light, review, overlay of the disagreement, 3D."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.corn_result_table import CornResultTable, percent
from MaskWhatMattersLib.bridge.corn_results import AtriumRow, atrium_rows, disagreement_of, set_body_surface
from MaskWhatMattersLib.bridge.overlays import set_overlay_opacity, show_overlay
from MaskWhatMattersLib.bridge.scene_follower import SceneFollower
from MaskWhatMattersLib.bridge.scene_views import fit_slice_views
from MaskWhatMattersLib.bridge.table_cells import LIGHTS, milliliters


class CornResultsView:
    """The lower half of the tab; it follows the scene, changes nodes at once and runs no job.

    Args:
        ui: Widgets by name.
        on_shown: Called with the volume node whose result the user wants to see.
    """

    def __init__(self, ui: Any, on_shown: Callable[[Any], None]) -> None:
        self._ui, self._on_shown = ui, on_shown
        self._rows: list[AtriumRow] = []
        self._failures: list[tuple[str, str]] = []
        self._volume_node: Any = None
        self._failure = -1  # index of the failure that is shown instead of a result
        self._is_following = False
        self._follower = SceneFollower(self.refresh)
        self._table = CornResultTable(ui.resultTable, self._on_row)
        ui.resultLabel.connect("linkActivated(QString)", lambda link: self.show_in_views())
        ui.bodySurfaceSpinBox.connect("valueChanged(double)", self._on_body_surface)
        ui.disagreementCheckBox.connect("toggled(bool)", lambda checked: self._show_overlay())
        ui.opacitySlider.connect("valueChanged(double)", lambda value: set_overlay_opacity(slicer.mrmlScene, value))
        ui.show3DCheckBox.connect("toggled(bool)", self._on_show_3d)
        self._fill()

    def start(self, volume_node: Any) -> None:
        """Follow the scene from now on, with the result of a volume first."""
        self.stop()
        self._volume_node = volume_node
        self._follower.start()
        self.refresh()

    def pause(self) -> None:
        """Look away while the panel is not on screen: counting voxels would slow down whoever edits a segment."""
        self._follower.stop()

    def stop(self) -> None:
        """Let go of the scene, as before it is closed or the panel is destroyed."""
        self.pause()
        self._rows, self._failures, self._failure, self._volume_node = [], [], -1, None
        self._fill()

    def show(self, volume_node: Any, failures: Sequence[tuple[str, str]] = ()) -> None:
        """Show the result of a volume in panel and views, as after a run.

        Args:
            volume_node: None when every scan failed.
            failures: (name of a scan, reason) of what the run could not segment.
        """
        self._failures = list(failures)
        self._failure = -1
        self._volume_node = volume_node
        self.refresh()
        if volume_node is not None:
            self.show_in_views()

    def follow(self, volume_node: Any) -> None:
        """Show the result of another volume in the panel, as when it was chosen in another window."""
        if volume_node is not None and volume_node is not self._volume_node:
            self._volume_node, self._failure = volume_node, -1
            self._fill()

    def refresh(self) -> None:
        """Look at the scene again."""
        self._rows = atrium_rows(slicer.mrmlScene)
        self._follower.watch(row.segmentation for row in self._rows)
        self._fill()

    def show_in_views(self) -> None:
        """Show the current scan with its left atrium alone, and go to its middle."""
        row = self._current()
        if row is None:
            return
        for other in self._rows:
            if other.segmentation.GetDisplayNode() is not None:
                other.segmentation.GetDisplayNode().SetVisibility(other is row)
        self._show_overlay()
        if self._ui.show3DCheckBox.checked:
            row.segmentation.CreateClosedSurfaceRepresentation()
        segmentation = row.segmentation.GetSegmentation()
        center = row.segmentation.GetSegmentCenterRAS(segmentation.GetNthSegmentID(0)) if row.volume_ml else None
        if center is not None:
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *center)

    def _current(self) -> AtriumRow | None:
        if self._failure >= 0:
            return None
        chosen = [row for row in self._rows if row.volume_node is self._volume_node]
        return chosen[-1] if chosen else self._rows[-1] if self._rows else None

    # What the user does

    def _on_row(self, index: int) -> None:
        self._failure = index - len(self._rows) if index >= len(self._rows) else -1
        if self._failure < 0:
            self._volume_node = self._rows[index].volume_node
            self._on_shown(self._volume_node)
            self.show_in_views()
        self._fill()

    def _on_body_surface(self, value: float) -> None:
        row = self._current()
        if row is not None and not self._is_following:
            set_body_surface(row.segmentation, value)
            self.refresh()

    def _show_overlay(self) -> None:
        row = self._current()
        if row is None:
            return
        overlay = disagreement_of(row.volume_node) if self._ui.disagreementCheckBox.checked else None
        if show_overlay(slicer.mrmlScene, row.volume_node, overlay, float(self._ui.opacitySlider.value)):
            fit_slice_views()

    def _on_show_3d(self, checked: bool) -> None:
        """Only the box itself takes surfaces back: one that the user made in the Segment Editor stays otherwise."""
        current = self._current()
        if checked and current is not None:
            current.segmentation.CreateClosedSurfaceRepresentation()
        for row in () if checked else self._rows:
            if row.segmentation.GetSegmentation().ContainsRepresentation("Closed surface"):
                row.segmentation.RemoveClosedSurfaceRepresentation()

    # Show

    def _fill(self) -> None:
        ui, row = self._ui, self._current()
        count = len(self._rows) + len(self._failures)
        ui.resultButton.visible = bool(count)
        ui.resultTable.visible = count > 1
        index = len(self._rows) + self._failure if self._failure >= 0 else self._rows.index(row) if row else -1
        self._table.fill(self._rows, self._failures, index)
        ui.numbersFrame.visible = ui.noticeLabel.visible = row is not None
        ui.reviewLabel.visible = row is not None and row.review
        if row is not None:
            self._fill_numbers(row)
        elif self._failures:
            name, reason = self._failures[max(self._failure, 0)]
            ui.resultLabel.text = f"<b>{html.escape(name)}</b>: {html.escape(reason)}"

    def _fill_numbers(self, row: AtriumRow) -> None:
        ui = self._ui
        name = html.escape(row.segmentation.GetName())
        ui.resultLabel.text = f'<a href="show">{name}</a>'
        volume = _("{volume} mL").format(volume=milliliters(row.volume_ml))
        ui.volumeLabel.text = _("{volume} (after your edits)").format(volume=volume) if row.edited else volume
        words = {"green": _("good"), "amber": _("look closely"), "red": _("poor")}[row.light]
        told = _("none") if row.agreement is None else f"{percent(row.agreement)} ({words})"
        ui.agreementLabel.text = f'<span style="color:{LIGHTS[row.light]}">&#9679;</span> {told}'
        reasons = html.escape("; ".join(row.review_reasons))
        amber = LIGHTS["amber"]
        ui.reviewLabel.text = f'<span style="color:{amber}">&#9888;</span> <b>{_("Please review:")}</b> {reasons}.'
        self._follow_body_surface(row.body_surface_m2 or 0.0)
        indexed = row.indexed_ml_m2
        for widget in (ui.indexedCaption, ui.indexedLabel):
            widget.visible = indexed is not None
        if indexed is not None:
            ui.indexedLabel.text = _("{volume} mL/m\u00b2").format(volume=milliliters(indexed))
        ui.opacitySlider.enabled = bool(ui.disagreementCheckBox.checked)
        ui.noticeLabel.text = _("Not for clinical use. Model {model}.").format(model=row.model)

    def _follow_body_surface(self, value: float) -> None:
        box = self._ui.bodySurfaceSpinBox
        if abs(float(box.value) - value) < 1e-9:
            return  # writing even the same number would reformat the text that the user is typing
        self._is_following = True
        try:
            box.value = value
        finally:
            self._is_following = False
