"""The labelled scans of the tab "Finetune": rows of the scene, or a folder that names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import Pair
from MaskWhatMattersLib.bridge.finetune_cases import class_names, class_problems, held_out, incomplete_scans
from MaskWhatMattersLib.bridge.labelled_scans import LabelledScans, ask_folder, ask_manifest, is_manifest
from MaskWhatMattersLib.bridge.panel_parameters import PanelParameters

SCENE, FOLDER = "scene", "folder"
_PICTURES = (".png", ".jpg", ".jpeg")
_LOOKED_AT = 100


class FinetuneScans(LabelledScans):
    """Connects the choice of the scans with the parameter node: `finetuneSource`, `finetuneLabelled`, `finetuneFolder`.

    Args:
        ui: Widgets by name.
        parameters: Its node keeps the scans.
        show_problem: Called with what was wrong with an entry, or with an empty text when there is nothing.
    """

    def __init__(self, ui: Any, parameters: PanelParameters, show_problem: Callable[[str], None]) -> None:
        super().__init__(ui, parameters, show_problem, "finetuneLabelled", self._measuring)
        ui.folderButton.connect("clicked()", self._on_folder)
        ui.manifestButton.connect("clicked()", self._on_manifest)

    @property
    def source(self) -> str:
        """Where the scans come from: only segments can be drawn in the scene."""
        node = self._parameters.node
        return FOLDER if node is None or node.finetuneTask != "segmentation" else str(node.finetuneSource)

    @property
    def folder(self) -> Path | None:
        """The folder or manifest; None while nothing is typed."""
        node = self._parameters.node
        typed = node.finetuneFolder.strip() if node is not None else ""
        return Path(typed).expanduser() if typed else None

    @property
    def chosen(self) -> Any:
        """What the module's logic takes: pairs, or a path."""
        return self.labelled if self.source == SCENE else self.folder

    def class_count(self) -> int:
        """Classes that the rows of the scene mark; 0 where only the job will know."""
        return len(class_names(slicer.mrmlScene, self.labelled)) if self.source == SCENE else 0

    def lack(self) -> str:
        """What is still to be given before anything can start; empty when it is there."""
        if self.source == SCENE:
            return "" if self.labelled else str(_("Add at least one volume with its segmentation first"))
        return "" if self.folder is not None else str(_("Choose the folder of the labelled images first"))

    def problems(self) -> list[str]:
        """Why these scans cannot be trained with, one sentence each."""
        if self.source == SCENE:
            return super().problems() + class_problems(slicer.mrmlScene, self.labelled)
        folder = self.folder
        if folder is None or folder.is_dir() or is_manifest(folder):
            return []
        return [str(_("{folder} is neither a folder nor a manifest (.csv).")).format(folder=folder)]

    def summary(self) -> list[str]:
        """What is learned from what, one sentence each."""
        scene, labelled = slicer.mrmlScene, self.labelled
        if self.source == FOLDER:
            return []
        measuring = len(self._measuring(labelled))
        sentences = [
            str(_("Learns {classes} from {count} scans.")).format(
                classes=_listed(class_names(scene, labelled)), count=len(labelled) - measuring
            )
        ]
        if measuring:
            text = str(_("{count} held out to measure the result."))
            sentences.append(text.format(count=measuring))
        else:
            sentences.append(str(_("None is held out: only the training loss is shown.")))
        return sentences + incomplete_scans(scene, labelled)[:1]

    def show(self) -> None:
        """Show what the parameter node holds."""
        node, ui = self._parameters.node, self.ui
        super().show()
        if node is None:
            return
        may_choose = node.finetuneTask == "segmentation"
        ui.sourceCombo.enabled = may_choose
        ui.sourceCombo.setCurrentIndex(ui.sourceCombo.findData(self.source))
        ui.sourceCombo.toolTip = (
            _("Where the labelled scans are") if may_choose else _("Only segmentations can be taken from the scene")
        )
        ui.sceneFrame.visible = self.source == SCENE
        ui.folderFrame.visible = self.source == FOLDER
        ui.folderHintLabel.text = _hint(node.finetuneTask)

    def _measuring(self, labelled: Sequence[Pair]) -> set[int]:
        node = self._parameters.node
        return held_out(slicer.mrmlScene, labelled, node.finetuneValidation / 100) if node is not None else set()

    def _on_folder(self) -> None:
        chosen = ask_folder(_("Folder of the labelled images"))
        if chosen is not None:
            self._parameters.store("finetuneFolder", str(chosen))
            self._parameters.store("finetuneDims", dims_of(chosen))
            self._show_problem("")

    def _on_manifest(self) -> None:
        chosen = ask_manifest(_("Manifest of the labelled images"))
        if chosen is not None:
            self._parameters.store("finetuneFolder", str(chosen))
            self._show_problem("")


def fill_source_combo(combo: Any) -> None:
    """Offer where scans can come from."""
    for text, source in ((_("From the scene"), SCENE), (_("From a folder"), FOLDER)):
        combo.addItem(text, source)


def dims_of(folder: Path) -> int:
    """2 for a folder whose first files are pictures, 3 for any other; only a few are looked at."""
    suffixes = [path.suffix.lower() for path in islice(folder.rglob("*"), _LOOKED_AT)]
    return 2 if any(suffix in _PICTURES for suffix in suffixes) else 3


def _hint(task: str) -> str:
    """What a folder must hold."""
    hints = {
        "segmentation": _(
            "Folders <b>images</b> and <b>labels</b> with files of the same names, or a manifest (.csv) with the "
            "columns path, label_path, and perhaps patient and split."
        ),
        "classification": _(
            "One folder of images per class, or a manifest (.csv) with the columns path, label, and perhaps patient "
            "and split."
        ),
        "detection": _(
            "Folders <b>images</b> and <b>labels</b> whose label maps number the objects of an image 1, 2, 3..., or "
            "annotations in a COCO file (.json)."
        ),
    }
    return str(hints[task])


def _listed(names: Sequence[str], shown: int = 4) -> str:
    """Names as a person lists them."""
    more = [str(_("{count} more")).format(count=len(names) - shown)] if len(names) > shown else []
    return ", ".join([*names[:shown], *more])
