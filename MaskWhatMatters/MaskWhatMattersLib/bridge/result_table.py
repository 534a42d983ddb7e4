"""The table of answers: prompt, verdict, score, mL, colour, eye."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.answers import Row

_ROWS_SHOWN = 6  # the table scrolls beyond
PROMPT, VERDICT, SCORE, VOLUME, COLOR, EYE = range(6)


def verdict_text(verdict: str) -> str:
    """A verdict in the user's language."""
    words = {"found": _("found"), "absent": _("absent"), "unknown": _("unknown"), "untrained": _("not trained")}
    return str(words.get(verdict, verdict))


def _icon(pixmap: Any) -> Any:
    """An icon that keeps its colours in a selected row."""
    icon = qt.QIcon(pixmap)
    icon.addPixmap(pixmap, qt.QIcon.Selected)
    return icon


class ResultTable:
    """Shows rows in a QTableWidget and tells which one the user picks.

    Args:
        table: The QTableWidget.
        icons: Paths of the icons for a visible and a hidden result.
        on_select: Called with the index of the row that became current.
        on_eye: Called with the index of the row whose eye was clicked.
    """

    def __init__(
        self, table: Any, icons: tuple[str, str], on_select: Callable[[int], None], on_eye: Callable[[int], None]
    ) -> None:
        self._table, self._on_select, self._on_eye = table, on_select, on_eye
        self._icons = tuple(_icon(qt.QPixmap(path)) for path in icons)
        self._filling = False
        table.setColumnCount(6)
        table.setHorizontalHeaderLabels([_("Prompt"), _("Result"), _("Score"), _("mL"), "", ""])
        header = table.horizontalHeader()
        header.setSectionResizeMode(PROMPT, qt.QHeaderView.Stretch)
        for column in (VERDICT, SCORE, VOLUME):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        for column in (COLOR, EYE):
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            table.setColumnWidth(column, 30)
        table.connect("itemSelectionChanged()", self._on_selection)
        table.connect("cellClicked(int,int)", self._on_click)

    @property
    def current(self) -> int:
        """Index of the current row; -1 without one."""
        return int(self._table.currentRow())

    def fill(self, rows: list[Row], current: int) -> None:
        """Show rows; nobody is told about the selection that this makes."""
        self._filling = True
        try:
            self._table.setRowCount(len(rows))
            for index, row in enumerate(rows):
                self._fill_row(index, row)
            rows_height = sum(self._table.rowHeight(index) for index in range(min(len(rows), _ROWS_SHOWN)))
            self._table.setFixedHeight(self._table.horizontalHeader().height + rows_height + 4)
            if 0 <= current < len(rows):
                self._table.setCurrentCell(current, PROMPT)
        finally:
            self._filling = False

    def _fill_row(self, index: int, row: Row) -> None:
        found = row["verdict"] == "found"
        volume = row["volume_ml"]
        texts = {
            PROMPT: row["prompt"],
            VERDICT: verdict_text(row["verdict"]),
            SCORE: "{:.2f}".format(row["score"]) if row["verdict"] in ("found", "absent") else "",
            VOLUME: "" if volume is None else f"{volume:.1f}" if volume < 1000 else f"{volume:.0f}",
            COLOR: "",
            EYE: "",
        }
        for column, text in texts.items():
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            item.setToolTip(row["message"] or row["prompt"])
            if column in (SCORE, VOLUME):
                item.setData(qt.Qt.TextAlignmentRole, int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))
            if column == COLOR and found:
                red, green, blue = (round(255 * channel) for channel in row["color"])
                patch = qt.QPixmap(14, 14)  # not the background of the cell: the selection would hide it
                patch.fill(qt.QColor(red, green, blue))
                item.setIcon(_icon(patch))
            if column == EYE and found:
                item.setIcon(self._icons[0 if row["visible"] else 1])
                item.setToolTip(_("Show or hide"))
            self._table.setItem(index, column, item)

    def _on_selection(self) -> None:
        if not self._filling and self.current >= 0:
            self._on_select(self.current)

    def _on_click(self, row: int, column: int) -> None:
        if column == EYE:
            self._on_eye(row)
