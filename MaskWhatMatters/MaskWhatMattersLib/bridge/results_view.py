"""Results in the panel and in the views: table, threshold, overlay opacity, 3D, and what can be made of a mask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge import ownership
from MaskWhatMattersLib.bridge.answers import Row, apply_threshold
from MaskWhatMattersLib.bridge.nodes import follow_transform, local_affine, place_beside, unique_name, world_affine
from MaskWhatMattersLib.bridge.overlays import relevance_array, set_overlay_opacity, show_overlay
from MaskWhatMattersLib.bridge.regions import box_around
from MaskWhatMattersLib.bridge.result_table import ResultTable
from MaskWhatMattersLib.bridge.scene_views import fit_slice_views
from MaskWhatMattersLib.bridge.segmentations import add_segment

_SLIDER_DELAY_MS = 30  # a dragged slider sends more positions than a large mask can follow
_SAME_THRESHOLD = 1e-6


class ResultsView:
    """The lower half of the panel; it changes nodes at once and runs no job.

    Args:
        ui: Widgets by name.
        icons: Paths of the icons for a visible and a hidden result.
        save: Called with volume node and rows when the user changed something that is saved with the scene.
    """

    def __init__(self, ui: Any, icons: tuple[str, str], save: Callable[[Any, list[Row]], None]) -> None:
        self._ui, self._save = ui, save
        self._volume_node: Any = None
        self._rows: list[Row] = []
        self._shown = ""
        self._current = -1
        self._quiet = False
        self._pending: tuple[str, float] | None = None  # prompt that the user moved the slider for, and to where
        self._table = ResultTable(ui.resultTable, icons, self._on_select, self._on_eye)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SLIDER_DELAY_MS)
        self._timer.connect("timeout()", self._apply_threshold)
        ui.thresholdSlider.connect("valueChanged(double)", self._on_threshold)
        ui.opacitySlider.connect("valueChanged(double)", self._on_opacity)
        ui.show3DCheckBox.connect("toggled(bool)", lambda checked: self._show_3d())
        ui.toSegmentButton.connect("clicked()", self.to_segment)
        ui.toBoxButton.connect("clicked()", self.to_box)
        self._refresh()

    def stop(self) -> None:
        """Forget a threshold that waits, as before the panel is destroyed or the scene is closed."""
        self._timer.stop()
        self._pending = None

    def add(self, volume_node: Any, rows: list[Row]) -> None:
        """Show new answers; answers to other prompts on the same volume stay."""
        self._apply_threshold()
        asked = {row["prompt"] for row in rows}
        kept = [row for row in self._rows if row["prompt"] not in asked] if volume_node is self._volume_node else []
        self._volume_node, self._rows = volume_node, kept + rows
        first = next((row for row in rows if row["verdict"] == "found"), rows[0] if rows else None)
        self._current = self._rows.index(first) if first else -1
        self._save(volume_node, self._rows)
        self._refresh()
        self._show_in_views(jump=True)
        self._show_3d()

    def show(self, volume_node: Any, rows: list[Row]) -> None:
        """Follow what is saved in the parameter node."""
        if volume_node is None:
            rows = []
        if volume_node is self._volume_node and json.dumps(rows) == self._shown:
            return
        self.stop()
        self._volume_node, self._rows = volume_node, rows
        found = [index for index, row in enumerate(rows) if row["verdict"] == "found"]
        if not 0 <= self._current < len(rows):
            self._current = found[0] if found else len(rows) - 1
        self._refresh()

    def to_segment(self) -> None:
        """Copy the current mask into a segmentation of the user, which no later run changes."""
        row, mask = self._current_row(), self._current_mask()
        if row is None or mask is None:
            return
        scene, volume_node = self._volume_node.GetScene(), self._volume_node
        name = f"{volume_node.GetName()} segments"
        node = scene.GetFirstNode(name, "vtkMRMLSegmentationNode")
        if node is None:
            node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name(scene, name))
            node.CreateDefaultDisplayNodes()
            node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
            follow_transform(node, volume_node)
            place_beside(node, volume_node)
        add_segment(node, row["prompt"], mask, local_affine(volume_node), tuple(row["color"]), row["terminology"])
        self._tell(_('Added to the segmentation "{name}".').format(name=node.GetName()))

    def to_box(self) -> None:
        """Put a box of the user around the current mask."""
        row, mask = self._current_row(), self._current_mask()
        if row is None or mask is None:
            return
        if not mask.any():
            self._tell(_("The mask is empty: lower the threshold first."))
            return
        name = unique_name(self._volume_node.GetScene(), _("{prompt} box").format(prompt=row["prompt"]))
        node = box_around(mask, self._volume_node, name)
        place_beside(node, self._volume_node)
        self._tell(_('Added the box "{name}".').format(name=name))

    # What the user does

    def _on_select(self, index: int) -> None:
        self._apply_threshold()  # the slider was moved for the row that is left
        self._current = index
        self._refresh()
        self._show_in_views(jump=True)

    def _on_eye(self, index: int) -> None:
        row = self._rows[index]
        if row["verdict"] == "found":
            row["visible"] = not row["visible"]
            self._save(self._volume_node, self._rows)
            self._refresh()
            self._show_in_views(jump=False)

    def _on_threshold(self, value: float) -> None:
        row = self._current_row()
        if self._quiet or row is None or row["verdict"] != "found":
            return
        self._pending = (row["prompt"], float(value))
        self._timer.start()

    def _on_opacity(self, value: float) -> None:
        set_overlay_opacity(slicer.mrmlScene, value)

    def _apply_threshold(self) -> None:
        """Cut the row that the slider was moved for, which need not be the current one any more."""
        prompt, value = self._pending or ("", 0.0)
        self.stop()
        row = next((row for row in self._rows if row["prompt"] == prompt and row["verdict"] == "found"), None)
        if row is None or abs(row["threshold"] - value) <= _SAME_THRESHOLD:
            return
        if apply_threshold(self._volume_node, row, value) is None:
            self._tell(_("The relevance map was removed: press Apply again."))
            return
        self._save(self._volume_node, self._rows)
        self._refresh()

    # Show

    def _refresh(self) -> None:
        ui, row = self._ui, self._current_row()
        self._shown = json.dumps(self._rows)
        self._table.fill(self._rows, self._current)
        found = row is not None and row["verdict"] == "found"
        for widget in (ui.thresholdSlider, ui.toSegmentButton, ui.toBoxButton):
            widget.enabled = found
        ui.resultButton.visible = bool(self._rows)
        if row is None:
            return
        self._tell(row["message"])
        ui.noticeLabel.text = _("Not for clinical use. Model: {model}.").format(model=row["model"])
        waits = self._pending is not None and self._pending[0] == row["prompt"]
        if found and not waits and abs(ui.thresholdSlider.value - row["threshold"]) > _SAME_THRESHOLD:
            self._quiet = True
            try:
                ui.thresholdSlider.value = row["threshold"]
            finally:
                self._quiet = False

    def _show_in_views(self, jump: bool) -> None:
        if self._volume_node is None:
            return
        for row in self._rows:
            segmentation = self._segmentation(row)
            if segmentation is not None and segmentation.GetDisplayNode() is not None:
                segmentation.GetDisplayNode().SetVisibility(bool(row["visible"]))
        current = self._current_row()
        overlay = self._overlay(current) if current is not None and current["visible"] else None
        if show_overlay(slicer.mrmlScene, self._volume_node, overlay, float(self._ui.opacitySlider.value)):
            fit_slice_views()
        mask = self._current_mask()
        if jump and mask is not None and mask.any():
            center = np.append(np.argwhere(mask).mean(0)[::-1].round(), 1.0)
            ras = (world_affine(self._volume_node) @ center)[:3]
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *(float(part) for part in ras))

    def _show_3d(self) -> None:
        for row in self._rows:
            segmentation = self._segmentation(row)
            if segmentation is None:
                continue
            if self._ui.show3DCheckBox.checked:
                segmentation.CreateClosedSurfaceRepresentation()
            else:
                segmentation.RemoveClosedSurfaceRepresentation()

    def _tell(self, text: str) -> None:
        self._ui.resultLabel.text = text
        self._ui.resultLabel.visible = bool(text)

    def _current_row(self) -> Row | None:
        return self._rows[self._current] if 0 <= self._current < len(self._rows) else None

    def _overlay(self, row: Row) -> Any:
        found = row["verdict"] == "found" and self._volume_node is not None
        return ownership.find_ours(self._volume_node, "relevance", row["prompt"]) if found else None

    def _segmentation(self, row: Row) -> Any:
        found = row["verdict"] == "found" and self._volume_node is not None
        return ownership.find_ours(self._volume_node, "mask", row["prompt"]) if found else None

    def _current_mask(self) -> Any:
        row = self._current_row()
        overlay = self._overlay(row) if row is not None else None
        return None if overlay is None or row is None else relevance_array(overlay) >= row["threshold"]
