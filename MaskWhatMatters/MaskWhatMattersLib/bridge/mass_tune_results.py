"""What came of a tuning, as the panel shows it: Dice of each segment in a table, and what the person should know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.table_cells import align_right, set_cell

if TYPE_CHECKING:
    from MaskWhatMattersLib.bridge.mass_tune_run import MassTuneRun
    from MaskWhatMattersLib.mass.tune_result import TunedTask

_ROW_HEIGHT = 20
_ROWS_SHOWN = 8
_SEGMENT, _EXAMPLES, _TUNED, _PLAIN = range(4)
_MEANS = ("in_context_dice", "dice", "baseline_dice")


class TunedTable:
    """Shows Dice before and after the tuning and that of a plain network in a QTableWidget.

    Args:
        table: The QTableWidget.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Segment"), _("Examples"), _("Tuned"), _("Plain network")])
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = table.horizontalHeader()
        header.setSectionResizeMode(_SEGMENT, qt.QHeaderView.Stretch)
        for column in (_EXAMPLES, _TUNED, _PLAIN):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)

    def show(self, tuned: TunedTask, *, has_baseline: bool) -> None:
        """Fill the table; hides it where nothing was measured."""
        table = self._table
        rows = [(each.label.name, (each.in_context, each.tuned, each.baseline)) for each in tuned.labels]
        if len(rows) > 1:
            examples, after, plain = (tuned.metrics.get(name, math.nan) for name in _MEANS)
            rows.append((str(_("Mean")), (examples, after, plain)))
        table.visible = bool(tuned.held_out)
        table.setRowCount(len(rows))
        table.setColumnHidden(_PLAIN, not has_baseline)
        for row, (name, scores) in enumerate(rows):
            set_cell(table, row, _SEGMENT, name, name)
            for column, score in enumerate(scores, start=_EXAMPLES):
                align_right(set_cell(table, row, column, _dice(score), self._tip(column)))
        height = _ROW_HEIGHT * min(len(rows), _ROWS_SHOWN)
        table.setFixedHeight(table.horizontalHeader().height + height + 4)

    @staticmethod
    def _tip(column: int) -> str:
        tips = {
            _EXAMPLES: _("Dice on the held-out cases, by the examples alone, before tuning"),
            _TUNED: _("Dice on the held-out cases, after tuning"),
            _PLAIN: _("Dice on the held-out cases, of a plain U-Net that learned the same cases for as long"),
        }
        return str(tips[column])


def result_title(run: MassTuneRun) -> str:
    """One sentence on what was made, as rich text."""
    text = (
        _("Made <b>{name}</b> in {steps} steps.")
        if run.state == "done"
        else _("Kept <b>{name}</b> after {steps} steps.")
    )
    sentence = str(text).format(name=run.name, steps=run.steps)
    held_out = len(run.tuned.held_out) if run.tuned is not None else 0
    if held_out == 1:
        return f"{sentence} {_('Dice on the held-out case:')}"
    return f"{sentence} {_('Mean Dice on the held-out cases:')}" if held_out else sentence


def bullets(notes: Sequence[str]) -> str:
    """Sentences as a person reads them: the only one as it is, several below each other."""
    return notes[0] if len(notes) == 1 else "\n".join(f"\u2022 {note}" for note in notes)


def _dice(score: float) -> str:
    return "\u2013" if math.isnan(score) else f"{score:.3f}"
