"""The images of the tab "Pretrain": scans of the scene with a tick each, or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import store_unlabelled, stored_unlabelled
from MaskWhatMattersLib.bridge.case_table import TickList
from MaskWhatMattersLib.bridge.finetune_scans import dims_of
from MaskWhatMattersLib.bridge.labelled_scans import ask_folder, ask_manifest, is_manifest
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_views import SCALAR_CLASSES, VOLUME_CLASSES, scalar_scans

_SCANS = "pretrainScans"


class PretrainScans:
    """Connects the list of scans and the folder with the parameter node.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps `pretrainSource`, `pretrainDims`, `pretrainFolder`, and the ticks with references.
        on_change: Called when other scans are ticked.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, on_change: Callable[[], None]) -> None:
        self.ui, self._parameters, self._on_change = ui, parameters, on_change
        self._list = TickList(ui.scanList, self._on_tick, lambda: None)
        ui.tickAllButton.connect("clicked()", lambda: self._tick_all(True))
        ui.untickAllButton.connect("clicked()", lambda: self._tick_all(False))
        ui.folderButton.connect("clicked()", self._on_folder)
        ui.manifestButton.connect("clicked()", self._on_manifest)

    @property
    def is_folder(self) -> bool:
        """Whether the images come from a folder."""
        node = self._parameters.node
        return node is not None and node.pretrainSource == "folder"

    @property
    def folder(self) -> Path | None:
        """The folder or manifest; None where none is named, or the scene is chosen."""
        text = self._parameters.node.pretrainFolder.strip() if self.is_folder else ""
        return Path(text).expanduser() if text else None

    @property
    def ticked(self) -> list[str]:
        """IDs of the ticked scans, in the order of the scene."""
        ticks = self._ticks()
        return [node.GetID() for node in self._offered() if ticks.get(node.GetID())]

    def images(self) -> Any:
        """What `Logic.pretrain` takes: nodes, or a folder."""
        return self.folder if self.is_folder else [slicer.mrmlScene.GetNodeByID(one) for one in self.ticked]

    def problem(self, *, is_remote: bool) -> str:
        """Why there is nothing to learn from; empty when there is.

        Args:
            is_remote: A folder is looked for by a worker on another computer.
        """
        if not self.is_folder:
            return "" if self.ticked else str(_("Tick at least one scan first; many are better"))
        if self.folder is None:
            return str(_("Choose a folder of images first"))
        if is_remote or self.folder.is_dir() or is_manifest(self.folder):
            return ""
        if not self.folder.exists():
            return str(_("There is no folder {folder}")).format(folder=self.folder)
        return str(_("{folder} is neither a folder nor a manifest (.csv)")).format(folder=self.folder)

    def show(self) -> None:
        """Show what the parameter node holds."""
        self.ui.sceneFrame.visible = not self.is_folder
        self.ui.folderFrame.visible = self.is_folder
        ticks = self._ticks()
        entries = [(node.GetID(), node.GetName() or "", bool(ticks.get(node.GetID()))) for node in self._offered()]
        self._list.fill(entries)
        self.ui.tickAllButton.enabled = any(not is_ticked for *_names, is_ticked in entries)
        self.ui.untickAllButton.enabled = any(is_ticked for *_names, is_ticked in entries)

    def _offered(self) -> list[Any]:
        node = self._parameters.node
        classes = VOLUME_CLASSES if node is not None and node.pretrainDims == 2 else SCALAR_CLASSES
        return scalar_scans(slicer.mrmlScene, classes)

    def _ticks(self) -> dict[str, bool]:
        node = self._parameters.node
        return stored_unlabelled(node.parameterNode, _SCANS) if node is not None else {}

    def _store(self, ticks: dict[str, bool]) -> None:
        if self._parameters.may_store:
            kept = {one: True for one, is_ticked in ticks.items() if is_ticked}
            store_unlabelled(self._parameters.node.parameterNode, kept, _SCANS)
            self._on_change()

    def _on_tick(self, source: str, is_ticked: bool) -> None:
        self._store(self._ticks() | {source: is_ticked})

    def _tick_all(self, is_ticked: bool) -> None:
        self._store({node.GetID(): is_ticked for node in self._offered()})

    def _on_folder(self) -> None:
        folder = ask_folder(_("Folder of images"))
        if folder is not None:
            self._parameters.store("pretrainFolder", str(folder))
            self._parameters.store("pretrainDims", dims_of(folder))

    def _on_manifest(self) -> None:
        manifest = ask_manifest(_("Manifest of images"))
        if manifest is not None:
            self._parameters.store("pretrainFolder", str(manifest))
