"""The upper half of the tab "Adapt to my site": labelled pairs in a table, unlabelled scans in a list with ticks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import (
    LABEL_CLASSES,
    Pair,
    find_pairs,
    is_node,
    label_name,
    name_of,
    repeated_scans,
    store_pairs,
    store_unlabelled,
    stored_pairs,
    stored_unlabelled,
    validation_count,
)
from MaskWhatMattersLib.bridge.adapt_checks import GridCheck, check_pair
from MaskWhatMattersLib.bridge.case_table import CaseRow, CaseTable, TickList
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.regions import segment_names
from MaskWhatMattersLib.bridge.scene_views import scalar_scans
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import find_volume_paths

_ALL_SEGMENTS = ""
_PARTS = ("images", "labels")  # a folder that holds these two needs no second question


class AdaptScans:
    """Connects the selectors, the table and the list of scans with the parameter node.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the scans: `adaptLabelled` and `adaptUnlabelled`, with references to nodes.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, show_problem: Callable[[str], None]) -> None:
        self.ui, self._parameters, self._show_problem = ui, parameters, show_problem
        self._checked_files: dict[Pair, GridCheck] = {}
        self.checks: list[GridCheck] = []
        """Of the labelled pairs, as the table shows them."""
        ui.pairLabelSelector.nodeTypes = list(LABEL_CLASSES)
        self._table = CaseTable(ui.labelledTable, self._show_buttons)
        self._list = TickList(ui.unlabelledList, self._on_tick, self._show_buttons)
        for selector in (ui.pairVolumeSelector, ui.pairLabelSelector):
            selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._on_selected())
        ui.addPairButton.connect("clicked()", self.add_selected)
        ui.addFolderButton.connect("clicked()", self._on_add_folders)
        ui.removePairButton.connect("clicked()", self._on_remove_pairs)
        ui.tickAllButton.connect("clicked()", self._on_tick_all)
        ui.addUnlabelledButton.connect("clicked()", self._on_add_unlabelled)
        ui.removeUnlabelledButton.connect("clicked()", self._on_remove_unlabelled)

    @property
    def labelled(self) -> list[Pair]:
        """Pairs in the order of the table."""
        node = self._parameters.node
        return stored_pairs(node.parameterNode) if node is not None else []

    @property
    def unlabelled(self) -> list[str]:
        """Ticked scans; those that were removed from the scene are forgotten."""
        return [source for source, is_ticked in self._known_unlabelled() if is_ticked]

    def problems(self) -> list[str]:
        """Why these scans cannot be trained with, one sentence each."""
        scene, labelled = slicer.mrmlScene, self.labelled
        refused = [
            f"{name_of(scene, pair.image)}: {check.reason}"
            for pair, check in zip(labelled, self.checks, strict=True)
            if check.status == "refused"
        ]
        return refused + repeated_scans(scene, labelled, self.unlabelled)

    def show(self) -> None:
        """Show what the parameter node holds."""
        scene, labelled = slicer.mrmlScene, self.labelled
        self.checks = [self._check(pair) for pair in labelled]
        held_out = len(labelled) - validation_count(len(labelled))
        rows = [
            CaseRow(name_of(scene, pair.image), label_name(scene, pair), check, index >= held_out)
            for index, (pair, check) in enumerate(zip(labelled, self.checks, strict=True))
        ]
        self._table.fill(rows)
        ticked = dict(self._known_unlabelled())
        with_label = {pair.image for pair in labelled}
        sources = [node.GetID() for node in scalar_scans(scene)] + [one for one in ticked if not is_node(one)]
        entries = [
            (source, name_of(scene, source), ticked.get(source, False))
            for source in sources
            if source not in with_label or ticked.get(source)  # one in both roles stays, to be unticked
        ]
        self._list.fill(entries)
        self._show_segments()
        self._show_buttons()

    def add(self, pairs: list[Pair]) -> None:
        """Add labelled pairs; one that is there already, or that is ticked as unlabelled, is refused and said."""
        problems, scene = [], slicer.mrmlScene
        labelled, unlabelled = self.labelled, self.unlabelled
        for pair in pairs:
            problem = repeated_scans(scene, [*labelled, pair], unlabelled)
            check = self._check(pair)
            if check.status == "refused":
                problem.append(f"{name_of(scene, pair.image)}: {check.reason}")
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
            segment = ui.pairSegmentCombo.itemData(ui.pairSegmentCombo.currentIndex) or ""
            self.add([Pair(volume.GetID(), label.GetID(), segment)])

    def add_folders(self, images: Path, labels: Path) -> None:
        """Add the scans of a folder with their label maps from another; scans without one become unlabelled."""
        try:
            pairs, others = find_pairs(images, labels)
        except InputError as error:
            self._show_problem(str(error))
            return
        self.add_unlabelled(others)
        self.add(pairs)

    def add_unlabelled(self, files: list[str]) -> None:
        """Add files to the list, ticked."""
        known = dict(self._known_unlabelled())
        self._store_unlabelled(known | dict.fromkeys(files, True))
        self._show_problem("")

    def _check(self, pair: Pair) -> GridCheck:
        """Files are looked at once, nodes each time: they are quick, and they change."""
        if is_node(pair.image) or is_node(pair.label):
            return check_pair(slicer.mrmlScene, pair)
        if pair not in self._checked_files:
            self._checked_files[pair] = check_pair(slicer.mrmlScene, pair)
        return self._checked_files[pair]

    def _known_unlabelled(self) -> list[tuple[str, bool]]:
        node = self._parameters.node
        return list(stored_unlabelled(node.parameterNode).items()) if node is not None else []

    def _store_labelled(self, pairs: list[Pair]) -> None:
        if self._parameters.may_store:
            store_pairs(self._parameters.node.parameterNode, pairs)

    def _store_unlabelled(self, ticks: dict[str, bool]) -> None:
        kept = {source: is_ticked for source, is_ticked in ticks.items() if is_ticked or not is_node(source)}
        if self._parameters.may_store:
            store_unlabelled(self._parameters.node.parameterNode, kept)

    # What the user does

    def _on_selected(self) -> None:
        self._show_segments()
        self._show_buttons()

    def _on_add_folders(self) -> None:
        images = _ask_folder(_("Folder of the scans"))
        if images is None:
            return
        inside = [images / part for part in _PARTS]
        if all(folder.is_dir() for folder in inside):
            self.add_folders(*inside)
            return
        labels = _ask_folder(_("Folder of their label maps"))
        if labels is not None:
            self.add_folders(images, labels)

    def _on_add_unlabelled(self) -> None:
        folder = _ask_folder(_("Folder of scans without labels"))
        if folder is None:
            return
        try:
            files = [str(path) for path in find_volume_paths(folder)]
        except InputError as error:
            self._show_problem(str(error))
            return
        self.add_unlabelled(files)
        if not files:
            self._show_problem(_("{folder} holds no scan that can be read.").format(folder=folder))

    def _on_remove_pairs(self) -> None:
        gone = set(self._table.selected())
        kept = [pair for index, pair in enumerate(self.labelled) if index not in gone]
        self._store_labelled(kept)
        self._show_problem("")

    def _on_remove_unlabelled(self) -> None:
        gone = set(self._list.selected())
        self._store_unlabelled({one: is_ticked for one, is_ticked in self._known_unlabelled() if one not in gone})

    def _on_tick(self, source: str, is_ticked: bool) -> None:
        self._store_unlabelled(dict(self._known_unlabelled()) | {source: is_ticked})
        self._show_problem("")

    def _on_tick_all(self) -> None:
        with_label = {pair.image for pair in self.labelled}
        ticks = dict(self._known_unlabelled()) | {node.GetID(): True for node in scalar_scans(slicer.mrmlScene)}
        self._store_unlabelled({source: True for source in ticks if source not in with_label})

    # What the widgets show

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
        ui.removeUnlabelledButton.enabled = any(not is_node(source) for source in self._list.selected())


def _ask_folder(caption: str) -> Path | None:
    chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), caption)
    return Path(str(chosen)) if chosen else None
