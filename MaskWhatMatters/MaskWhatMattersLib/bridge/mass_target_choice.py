"""The middle part of the tab "Apply example": volumes of the scene with a tick each, a sequence, or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import store_unlabelled, stored_unlabelled
from MaskWhatMattersLib.bridge.case_table import TickList
from MaskWhatMattersLib.bridge.labelled_scans import ask_folder
from MaskWhatMattersLib.bridge.mass_sequences import require_volumes
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_views import scalar_scans
from MaskWhatMattersLib.errors import InputError

VOLUMES, SEQUENCE, FOLDER = "volumes", "sequence", "folder"
_TARGETS = "targets"
_ROW_HEIGHT = 18


class TargetChoice:
    """Connects the widgets with the parameter node: targetKind, targets, sequence, folder, output.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the choice, with references to nodes.
        examples: Gives the IDs of the volumes that are examples, which are no targets.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, examples: Callable[[], set[str]]) -> None:
        self.ui, self._parameters, self._examples = ui, parameters, examples
        self._list = TickList(ui.targetList, self._on_tick, lambda: None)
        ui.tickAllButton.connect("clicked()", lambda: self._tick_all(True))
        ui.untickAllButton.connect("clicked()", lambda: self._tick_all(False))
        ui.folderButton.connect("clicked()", lambda: self._on_folder("folder", _("Folder of the scans")))
        ui.outputButton.connect("clicked()", lambda: self._on_folder("output", _("Folder for the results")))

    @property
    def kind(self) -> str:
        """What the example is applied to."""
        node = self._parameters.node
        return str(node.targetKind) if node is not None and node.targetKind in (SEQUENCE, FOLDER) else VOLUMES

    @property
    def chosen(self) -> Any:
        """What the module's logic takes."""
        if self.kind == VOLUMES:
            ticks = self._ticks()
            return [node for node in self._offered() if ticks.get(node.GetID())]
        node = self._parameters.node
        return node.sequence if self.kind == SEQUENCE else Path(node.folder.strip()).expanduser()

    @property
    def output(self) -> str:
        """Folder for the results of a folder; empty for anything else."""
        return str(self._parameters.node.output.strip()) if self.kind == FOLDER else ""

    def summary(self) -> str:
        """The targets in a few words."""
        if self.kind == FOLDER:
            return str(_("every scan of the folder"))
        chosen = self.chosen
        count = len(chosen) if self.kind == VOLUMES else int(chosen.GetNumberOfDataNodes())
        return str(_("1 volume")) if count == 1 else str(_("{count} volumes")).format(count=count)

    def problem(self) -> str:
        """Why there is nothing to apply an example to; empty when there is."""
        node = self._parameters.node
        if self.kind == VOLUMES:
            if not self._offered():
                return str(_("Load a volume that the example can be applied to first"))
            return "" if self.chosen else str(_("Tick at least one volume under Targets first"))
        if self.kind == SEQUENCE:
            return self._sequence_problem(node.sequence)
        if not node.folder.strip():
            return str(_("Choose the folder of the scans first"))
        if not self.chosen.is_dir():
            return str(_("There is no folder {folder}")).format(folder=self.chosen)
        return "" if node.output.strip() else str(_("Choose a folder for the results first"))

    def suggest(self, volume_node: Any) -> None:
        """Tick the volume that is shown, or the only one there is, while nothing is ticked."""
        offered = self._offered()
        if self._ticks() or self._parameters.node is None:
            return
        shown = [node for node in offered if node is volume_node]
        if shown or len(offered) == 1:
            self._store({(shown or offered)[0].GetID(): True})

    def show(self) -> None:
        """Show what the parameter node holds."""
        ui, kind, ticks = self.ui, self.kind, self._ticks()
        for name, frame in ((VOLUMES, ui.volumesFrame), (SEQUENCE, ui.sequenceFrame), (FOLDER, ui.folderFrame)):
            frame.visible = kind == name
        ui.existingFrame.visible = kind != FOLDER
        entries = [(node.GetID(), node.GetName() or "", bool(ticks.get(node.GetID()))) for node in self._offered()]
        self._list.fill(entries)
        ui.targetList.setFixedHeight(_ROW_HEIGHT * min(max(len(entries), 2), 6) + 6)
        ui.tickAllButton.enabled = any(not is_ticked for *_names, is_ticked in entries)
        ui.untickAllButton.enabled = any(is_ticked for *_names, is_ticked in entries)

    def _offered(self) -> list[Any]:
        examples = self._examples()
        return [node for node in scalar_scans(slicer.mrmlScene) if node.GetID() not in examples]

    @staticmethod
    def _sequence_problem(sequence: Any) -> str:
        if sequence is None:
            return str(_("Choose a sequence first"))
        try:
            require_volumes(sequence)
        except InputError as error:
            return str(error)
        return ""

    def _ticks(self) -> dict[str, bool]:
        node = self._parameters.node
        return stored_unlabelled(node.parameterNode, _TARGETS) if node is not None else {}

    def _store(self, ticks: dict[str, bool]) -> None:
        if self._parameters.may_store:
            kept = {one: True for one, is_ticked in ticks.items() if is_ticked}
            store_unlabelled(self._parameters.node.parameterNode, kept, _TARGETS)

    def _on_tick(self, source: str, is_ticked: bool) -> None:
        self._store(self._ticks() | {source: is_ticked})

    def _tick_all(self, is_ticked: bool) -> None:
        self._store({node.GetID(): is_ticked for node in self._offered()})

    def _on_folder(self, name: str, caption: str) -> None:
        folder = ask_folder(caption)
        if folder is not None:
            self._parameters.store(name, str(folder))


def fill_target_combo(combo: Any) -> None:
    """Offer what an example can be applied to."""
    for text, kind in ((_("Volumes"), VOLUMES), (_("A sequence"), SEQUENCE), (_("A folder of files"), FOLDER)):
        combo.addItem(text, kind)


def fill_existing_combo(combo: Any) -> None:
    """Offer what happens to segments that are there."""
    for text, choice in (
        (_("Keep them, put new ones beside"), "keep"),
        (_("Overwrite those of the same name"), "overwrite"),
        (_("Lock: leave their voxels alone"), "lock"),
    ):
        combo.addItem(text, choice)
