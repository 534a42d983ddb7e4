"""The table of what an example found: target, segment, mL, quality with its traffic light; failures come first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.mass_results import ExampleRow
from MaskWhatMattersLib.bridge.table_cells import LIGHTS, align_right, dot, milliliters, set_cell

_ROW_HEIGHT = 22
_ROWS_SHOWN = 8  # the table scrolls beyond
TARGET, SEGMENT, VOLUME, QUALITY = range(4)


def quality_text(row: ExampleRow) -> str:
    """Quality as it is shown; a dash where it was not estimated."""
    text = "-" if row.quality is None else f"{row.quality:.2f}"
    return _("{quality} (edited)").format(quality=text) if row.edited else text


class MassResultTable:
    """Shows rows in a QTableWidget and tells which one the user picks.

    Args:
        table: The QTableWidget.
        on_select: Called with the index of the row that became current, or was clicked again.
    """

    def __init__(self, table: Any, on_select: Callable[[int], None]) -> None:
        self._table, self._on_select = table, on_select
        self._filling = False
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Target"), _("Segment"), _("mL"), _("Quality")])
        table.horizontalHeaderItem(QUALITY).setToolTip(
            _("How well the result segments the example back (Dice, 0 to 1): an estimate, made without the truth")
        )
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = table.horizontalHeader()
        for column in (TARGET, SEGMENT):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch)
        for column in (VOLUME, QUALITY):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", self._on_selection)
        table.connect("cellClicked(int,int)", lambda row, column: self._on_select(row))

    def fill(self, failures: Sequence[tuple[str, str]], rows: Sequence[ExampleRow], current: int) -> None:
        """Show the targets that failed as (name, reason), then rows; nobody is told about the selection.

        Args:
            failures: Name and reason.
            rows: In the order in which they are shown.
            current: Index of the row that is selected, counted from the first failure; -1 for none.
        """
        table = self._table
        self._filling = True
        try:
            table.setRowCount(len(failures) + len(rows))
            for index, (name, reason) in enumerate(failures):
                for column, text in enumerate((name, "", "", _("failed"))):
                    item = set_cell(table, index, column, text, reason)
                    if column == QUALITY:
                        item.setIcon(dot(LIGHTS["red"]))
            for index, row in enumerate(rows, len(failures)):
                self._fill_row(index, row)
            shown = min(int(table.rowCount), _ROWS_SHOWN)
            table.setFixedHeight(table.horizontalHeader().height + _ROW_HEIGHT * shown + 4)
            if 0 <= current < table.rowCount:
                table.setCurrentCell(current, TARGET)
            else:
                table.clearSelection()
        finally:
            self._filling = False

    def _fill_row(self, index: int, row: ExampleRow) -> None:
        tip = " ".join(row.notes) or f"{row.target}: {row.segment}"
        for column, text in enumerate((row.target, row.segment, milliliters(row.volume_ml), quality_text(row))):
            item = set_cell(self._table, index, column, text, tip)
            if column == VOLUME:
                align_right(item)
            if column == QUALITY:
                item.setIcon(dot(LIGHTS[row.light]))

    def _on_selection(self) -> None:
        row = int(self._table.currentRow())
        if not self._filling and row >= 0:
            self._on_select(row)
