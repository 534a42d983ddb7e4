"""The upper half of the tab "Adapt to my site": labelled pairs in a table, unlabelled scans in a list with ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import (
    Pair,
    find_pairs,
    is_node,
    name_of,
    repeated_scans,
    store_unlabelled,
    stored_unlabelled,
    validation_count,
)
from MaskWhatMattersLib.bridge.case_table import TickList
from MaskWhatMattersLib.bridge.labelled_scans import LabelledScans, ask_folder
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters
from MaskWhatMattersLib.bridge.scene_views import scalar_scans
from MaskWhatMattersLib.errors import InputError
from MaskWhatMattersLib.volumes import find_volume_paths

_PARTS = ("images", "labels")  # a folder that holds these two needs no second question


class AdaptScans(LabelledScans):
    """Connects the selectors, the table and the list of scans with the parameter node.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the scans: `adaptLabelled` and `adaptUnlabelled`, with references to nodes.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, show_problem: Callable[[str], None]) -> None:
        super().__init__(ui, parameters, show_problem, "adaptLabelled", _last_ones)
        self._list = TickList(ui.unlabelledList, self._on_tick, self._show_buttons)
        ui.addFolderButton.connect("clicked()", self._on_add_folders)
        ui.tickAllButton.connect("clicked()", self._on_tick_all)
        ui.addUnlabelledButton.connect("clicked()", self._on_add_unlabelled)
        ui.removeUnlabelledButton.connect("clicked()", self._on_remove_unlabelled)

    @property
    def unlabelled(self) -> list[str]:
        """Ticked scans; those that were removed from the scene are forgotten."""
        return [source for source, is_ticked in self._known_unlabelled() if is_ticked]

    def show(self) -> None:
        """Show what the parameter node holds."""
        scene = slicer.mrmlScene
        ticked = dict(self._known_unlabelled())
        with_label = {pair.image for pair in self.labelled}
        sources = [node.GetID() for node in scalar_scans(scene)] + [one for one in ticked if not is_node(one)]
        entries = [
            (source, name_of(scene, source), ticked.get(source, False))
            for source in sources
            if source not in with_label or ticked.get(source)  # one in both roles stays, to be unticked
        ]
        self._list.fill(entries)
        super().show()

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

    def _repeated(self, labelled: Sequence[Pair]) -> list[str]:
        return repeated_scans(slicer.mrmlScene, labelled, self.unlabelled)

    def _known_unlabelled(self) -> list[tuple[str, bool]]:
        node = self._parameters.node
        return list(stored_unlabelled(node.parameterNode).items()) if node is not None else []

    def _store_unlabelled(self, ticks: dict[str, bool]) -> None:
        kept = {source: is_ticked for source, is_ticked in ticks.items() if is_ticked or not is_node(source)}
        if self._parameters.may_store:
            store_unlabelled(self._parameters.node.parameterNode, kept)

    # What the user does

    def _on_add_folders(self) -> None:
        images = ask_folder(_("Folder of the scans"))
        if images is None:
            return
        inside = [images / part for part in _PARTS]
        if all(folder.is_dir() for folder in inside):
            self.add_folders(*inside)
            return
        labels = ask_folder(_("Folder of their label maps"))
        if labels is not None:
            self.add_folders(images, labels)

    def _on_add_unlabelled(self) -> None:
        folder = ask_folder(_("Folder of scans without labels"))
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

    def _show_buttons(self) -> None:
        super()._show_buttons()
        self.ui.removeUnlabelledButton.enabled = any(not is_node(source) for source in self._list.selected())


def _last_ones(labelled: Sequence[Pair]) -> set[int]:
    """Indices of the pairs that are held out."""
    return set(range(len(labelled) - validation_count(len(labelled)), len(labelled)))
