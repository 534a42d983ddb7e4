"""What can be chosen in the tab "Pretrain", in plain words."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.compute_choice import fill_compute_combo, fill_device_combo
from MaskWhatMattersLib.bridge.finetune_scans import fill_source_combo
from MaskWhatMattersLib.relevance.registry import LocalizerInfo, available_localizers


def offered_localizers() -> list[LocalizerInfo]:
    """Localizers that find prompts by themselves, without a region that is drawn and without a model to name."""
    return [info for info in available_localizers().values() if not info.needs_roi and not info.needs_model]


def fill_pretrain_combos(ui: Any) -> None:
    """Fill every combo box of the tab; the entries carry what the parameter node keeps."""
    for combo, choices in (
        (ui.dimsCombo, ((_("Volumes (3D)"), 3), (_("Pictures and slices (2D)"), 2))),
        (
            ui.methodCombo,
            (
                (_("MAE: a transformer completes the image"), "mae"),
                (_("SparK: a convolutional net completes it"), "spark"),
                (_("SimMIM: a transformer sees all tokens"), "simmim"),
                (_("SimCLR: compares views, hides nothing"), "simclr"),
            ),
        ),
        (ui.presetCombo, ((_("Fast"), "fast"), (_("As in the paper"), "paper"), (_("Best"), "best"))),
        (ui.localizerCombo, tuple((info.title, info.name) for info in offered_localizers())),
    ):
        for text, value in choices:
            combo.addItem(text, value)
    fill_source_combo(ui.sourceCombo)
    fill_device_combo(ui.deviceCombo)
    fill_compute_combo(ui.computeCombo)
