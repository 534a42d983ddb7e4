"""Scans with their labels in a table: selectors add a row, each row shows whether scan and label fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import (
    LABEL_CLASSES,
    Pair,
    is_node,
    label_name,
    name_of,
    repeated_scans,
    store_pairs,
    stored_pairs,
)
from MaskWhatMattersLib.bridge.adapt_checks import GridCheck, check_pair
from MaskWhatMattersLib.bridge.case_table import CaseRow, CaseTable
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.regions import segment_names

_ALL_SEGMENTS = ""


class LabelledScans:
    """Connects pairVolumeSelector, pairLabelSelector, pairSegmentCombo, their buttons and labelledTable with a node.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the pairs, with references to nodes.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
        name: Of the parameter that keeps the pairs.
        held_out: Indices of the pairs that measure the result instead of teaching.
    """

    def __init__(
        self,
        ui: Any,
        parameters: PanelParameters,
        show_problem: Callable[[str], None],
        name: str,
        held_out: Callable[[Sequence[Pair]], set[int]],
    ) -> None:
        self.ui, self._parameters, self._show_problem = ui, parameters, show_problem
        self._name, self._held_out = name, held_out
        self._checked_files: dict[Pair, GridCheck] = {}
        self.checks: list[GridCheck] = []
        """Of the labelled pairs, as the table shows them."""
        ui.pairLabelSelector.nodeTypes = list(LABEL_CLASSES)
        self._table = CaseTable(ui.labelledTable, self._show_buttons)
        for selector in (ui.pairVolumeSelector, ui.pairLabelSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._on_selected())
        ui.addPairButton.connect("clicked()", self.add_selected)
        ui.removePairButton.connect("clicked()", self._on_remove_pairs)

    @property
    def labelled(self) -> list[Pair]:
        """Pairs in the order of the table."""
        node = self._parameters.node
        return stored_pairs(node.parameterNode, self._name) if node is not None else []

    def problems(self) -> list[str]:
        """Why these scans cannot be trained with, one sentence each."""
        labelled = self.labelled
        refused = [
            f"{name_of(slicer.mrmlScene, pair.image)}: {check.reason}"
            for pair, check in zip(labelled, self.checks, strict=True)
            if check.status == "refused"
        ]
        return refused + self._repeated(labelled)

    def show(self) -> None:
        """Show what the parameter node holds."""
        scene, labelled = slicer.mrmlScene, self.labelled
        self.checks = [self._check(pair) for pair in labelled]
        held_out = self._held_out(labelled)
        rows = [
            CaseRow(name_of(scene, pair.image), label_name(scene, pair), check, index in held_out)
            for index, (pair, check) in enumerate(zip(labelled, self.checks, strict=True))
        ]
        self._table.fill(rows)
        self._show_segments()
        self._show_buttons()

    def add(self, pairs: list[Pair]) -> None:
        """Add labelled pairs; one that is there already, or that has another role, is refused and said."""
        problems, labelled = [], self.labelled
        for pair in pairs:
            problem = self._repeated([*labelled, pair])
            check = self._check(pair)
            if check.status == "refused":
                problem.append(f"{name_of(slicer.mrmlScene, pair.image)}: {check.reason}")
            if problem:
                problems += problem
            else:
                labelled.append(pair)
        self._store_labelled(labelled)
        self._show_problem("\n".join(dict.fromkeys(problems)))

    def add_selected(self) -> None:
        """Add what the selectors show."""
        ui = self.ui
        volume, label = ui.pairVolumeSelector.currentNode(), ui.pairLabelSelector.currentNode()
        if volume is not None and label is not None:
            self.add([Pair(volume.GetID(), label.GetID(), self._chosen_segment())])

    def _chosen_segment(self) -> str:
        combo = self.ui.pairSegmentCombo
        return combo.itemData(combo.currentIndex) or ""

    def _repeated(self, labelled: Sequence[Pair]) -> list[str]:
        return repeated_scans(slicer.mrmlScene, labelled, ())

    def _check(self, pair: Pair) -> GridCheck:
        """Files are looked at once, nodes each time: they are quick, and they change."""
        if is_node(pair.image) or is_node(pair.label):
            return check_pair(slicer.mrmlScene, pair)
        if pair not in self._checked_files:
            self._checked_files[pair] = check_pair(slicer.mrmlScene, pair)
        return self._checked_files[pair]

    def _store_labelled(self, pairs: list[Pair]) -> None:
        if self._parameters.may_store:
            store_pairs(self._parameters.node.parameterNode, pairs, self._name)

    def _on_selected(self) -> None:
        self._show_segments()
        self._show_buttons()

    def _on_remove_pairs(self) -> None:
        gone = set(self._table.selected())
        kept = [pair for index, pair in enumerate(self.labelled) if index not in gone]
        self._store_labelled(kept)
        self._show_problem("")

    def _show_segments(self) -> None:
        ui = self.ui
        node, combo = ui.pairLabelSelector.currentNode(), ui.pairSegmentCombo
        segments = segment_names(node) if node is not None and node.IsA("vtkMRMLSegmentationNode") else []
        choices = [(_ALL_SEGMENTS, str(_("All segments"))), *segments]
        if [(combo.itemData(index), combo.itemText(index)) for index in range(combo.count)] != choices:
            combo.clear()
            for segment_id, name in choices:
                combo.addItem(name, segment_id)
        for widget in (combo, ui.pairSegmentLabel):
            widget.visible = len(segments) > 1

    def _show_buttons(self) -> None:
        ui = self.ui
        lacking = [
            (ui.pairVolumeSelector.currentNode() is None, _("Choose a volume first")),
            (ui.pairLabelSelector.currentNode() is None, _("Choose its segmentation or label map first")),
        ]
        reason = next((text for applies, text in lacking if applies), "")
        ui.addPairButton.enabled = not reason
        ui.addPairButton.toolTip = reason or _("Add this volume with its segmentation")
        ui.removePairButton.enabled = bool(self._table.selected())


def is_manifest(path: Path) -> bool:
    """Whether a file may be a table that names images."""
    return path.is_file() and path.suffix.lower() == ".csv"


def ask_manifest(caption: str) -> Path | None:
    """Ask for a table that names images; None when the user thinks better of it."""
    chosen = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), caption, "", _("Manifest (*.csv)"))
    return Path(str(chosen)) if chosen else None


def ask_folder(caption: str) -> Path | None:
    """Ask for a folder; None when the user thinks better of it."""
    chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), caption)
    return Path(str(chosen)) if chosen else None
