"""The table of left atria: scan, mL, mL/m2, agreement with its traffic light, review; failures are rows, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.corn_results import AtriumRow
from MaskWhatMattersLib.bridge.table_cells import LIGHTS, align_right, dot, milliliters, set_cell

_ROWS_SHOWN = 6  # the table scrolls beyond
SCAN, VOLUME, INDEXED, AGREEMENT, REVIEW = range(5)


def percent(agreement: float | None) -> str:
    """Agreement as it is shown; a dash where it has no meaning."""
    return "-" if agreement is None else f"{round(100 * agreement)} %"


class CornResultTable:
    """Shows rows in a QTableWidget and tells which one the user picks.

    Args:
        table: The QTableWidget.
        on_select: Called with the index of the row that became current, or was clicked again.
    """

    def __init__(self, table: Any, on_select: Callable[[int], None]) -> None:
        self._table, self._on_select = table, on_select
        self._filling = False
        table.setColumnCount(5)
        table.setHorizontalHeaderLabels([_("Scan"), _("mL"), _("mL/m\u00b2"), _("Agreement"), _("Review")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(SCAN, qt.QHeaderView.Stretch)
        for column in (VOLUME, INDEXED, AGREEMENT, REVIEW):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", self._on_selection)
        table.connect("cellClicked(int,int)", lambda row, column: self._on_select(row))

    def fill(self, rows: Sequence[AtriumRow], failures: Sequence[tuple[str, str]], current: int) -> None:
        """Show rows, and below them the scans that failed as (name, reason); nobody is told about the selection."""
        table = self._table
        self._filling = True
        try:
            table.setRowCount(len(rows) + len(failures))
            for index, row in enumerate(rows):
                self._fill_row(index, row)
            for index, (name, reason) in enumerate(failures, len(rows)):
                for column, text in enumerate((name, "", "", _("failed"), "")):
                    set_cell(table, index, column, text, reason)
            table.setColumnHidden(INDEXED, not any(row.indexed_ml_m2 for row in rows))
            height = sum(table.rowHeight(index) for index in range(min(table.rowCount, _ROWS_SHOWN)))
            table.setFixedHeight(table.horizontalHeader().height + height + 4)
            if 0 <= current < table.rowCount:
                table.setCurrentCell(current, SCAN)
        finally:
            self._filling = False

    def _fill_row(self, index: int, row: AtriumRow) -> None:
        indexed = row.indexed_ml_m2
        tip = "; ".join(row.review_reasons) or row.volume_node.GetName()
        texts = (
            row.volume_node.GetName(),
            milliliters(row.volume_ml),
            "" if indexed is None else milliliters(indexed),
            percent(row.agreement),
            _("please review") if row.review else "",
        )
        for column, text in enumerate(texts):
            item = set_cell(self._table, index, column, text, tip)
            if column in (VOLUME, INDEXED):
                align_right(item)
            if column == AGREEMENT:
                item.setIcon(dot(LIGHTS[row.light]))

    def _on_selection(self) -> None:
        row = int(self._table.currentRow())
        if not self._filling and row >= 0:
            self._on_select(row)
