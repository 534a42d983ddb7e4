"""The table of labelled scans, and the list of unlabelled ones with a tick each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.adapt_cases import is_node
from MaskWhatMattersLib.bridge.adapt_checks import GridCheck

_ROWS_SHOWN = (3, 6)  # space for so many rows at least and at most; the table scrolls beyond
_ROW_HEIGHT = 22
SCAN, LABEL, GRID, USE = range(4)
_COLORS = {"same": "#2e8b57", "resampled": "#d08700", "unknown": "#808080", "refused": "#c62828"}


@dataclass(frozen=True)
class CaseRow:
    """One labelled scan as the table shows it.

    Attributes:
        scan: Name of the scan.
        label: Name of its label.
        check: Whether the two fit together.
        held_out: Whether the scan measures the result instead of teaching.
    """

    scan: str
    label: str
    check: GridCheck
    held_out: bool


def grid_text(check: GridCheck) -> str:
    """The check in a few words."""
    words = {
        "same": _("\u2713 same grid"),
        "resampled": _("\u2713 will be resampled"),
        "unknown": _("checked at the start"),
        "refused": _("\u2717 refused"),
    }
    return str(words[check.status])


class CaseTable:
    """Shows labelled scans in a QTableWidget.

    Args:
        table: The QTableWidget.
        on_select: Called when other rows are selected.
    """

    def __init__(self, table: Any, on_select: Callable[[], None]) -> None:
        self._table = table
        self._shown: list[CaseRow] | None = None
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([_("Scan"), _("Label"), _("Grid"), _("Use")])
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = table.horizontalHeader()
        for column in (SCAN, LABEL):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch)
        for column in (GRID, USE):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        table.connect("itemSelectionChanged()", on_select)

    def selected(self) -> list[int]:
        """Indices of the selected rows."""
        return [row for row in range(self._table.rowCount) if self._table.item(row, SCAN).isSelected()]

    def fill(self, rows: list[CaseRow]) -> None:
        """Show rows; the selection stays where nothing changed."""
        if rows == self._shown:
            return
        self._shown = list(rows)
        self._table.setRowCount(len(rows))
        for index, row in enumerate(rows):
            texts = (row.scan, row.label, grid_text(row.check), _("measures") if row.held_out else _("teaches"))
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                item.setToolTip(self._tip(column, row))
                if column == GRID:
                    item.setForeground(qt.QBrush(qt.QColor(_COLORS[row.check.status])))
                self._table.setItem(index, column, item)
        fewest, most = _ROWS_SHOWN
        space = _ROW_HEIGHT * min(max(len(rows), fewest), most)
        self._table.setFixedHeight(self._table.horizontalHeader().height + space + 4)

    @staticmethod
    def _tip(column: int, row: CaseRow) -> str:
        if column == GRID and row.check.reason:
            return row.check.reason
        if column == USE:
            text = _("Held out, to measure the result") if row.held_out else _("The model learns from this scan")
            return str(text)
        return f"{row.scan} - {row.label}"


class TickList:
    """Shows scans with a tick each in a QListWidget.

    Args:
        widget: The QListWidget.
        on_tick: Called with a source and whether it is ticked now.
        on_select: Called when other entries are selected.
    """

    def __init__(self, widget: Any, on_tick: Callable[[str, bool], None], on_select: Callable[[], None]) -> None:
        self._widget, self._on_tick = widget, on_tick
        self._shown: list[tuple[str, str, bool]] | None = None
        self._is_filling = False
        widget.connect("itemChanged(QListWidgetItem*)", self._on_changed)
        widget.connect("itemSelectionChanged()", on_select)

    def selected(self) -> list[str]:
        """Sources of the selected entries."""
        items = [self._widget.item(index) for index in range(self._widget.count)]
        return [str(item.data(qt.Qt.UserRole)) for item in items if item.isSelected()]

    def fill(self, entries: list[tuple[str, str, bool]]) -> None:
        """Show entries (source, name, ticked)."""
        if entries == self._shown:
            return
        self._shown = list(entries)
        self._is_filling = True
        try:
            self._widget.clear()
            for source, name, is_ticked in entries:
                item = qt.QListWidgetItem(name)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable)
                item.setData(qt.Qt.UserRole, source)
                item.setToolTip(name if is_node(source) else source)
                item.setCheckState(qt.Qt.Checked if is_ticked else qt.Qt.Unchecked)
                self._widget.addItem(item)
        finally:
            self._is_filling = False

    def _on_changed(self, item: Any) -> None:
        if self._is_filling:
            return
        is_ticked = item.checkState() == qt.Qt.Checked
        source = str(item.data(qt.Qt.UserRole))
        if self._shown is not None:  # what the user did is shown already
            self._shown = [(one, name, is_ticked if one == source else was) for one, name, was in self._shown]
        # Later: the list may be filled anew then, and this very entry must not go while it tells of its change.
        qt.QTimer.singleShot(0, lambda: self._on_tick(source, is_ticked))
