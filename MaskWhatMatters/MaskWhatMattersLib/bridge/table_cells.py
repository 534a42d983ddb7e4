"""Cells of the result tables: volumes as they are shown, and traffic lights."""

from __future__ import annotations

from typing import Any

import qt

LIGHTS = {"green": "#2e8b57", "amber": "#d08700", "red": "#c62f2f"}


def milliliters(volume_ml: float) -> str:
    """Volume as it is shown, mL."""
    return f"{volume_ml:.1f}" if volume_ml < 1000 else f"{volume_ml:.0f}"


def set_cell(table: Any, row: int, column: int, text: str, tip: str) -> Any:
    """Put text into a cell of a QTableWidget that can be selected and not edited; gives its item."""
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
    item.setToolTip(tip)
    table.setItem(row, column, item)
    return item


def align_right(item: Any) -> None:
    """Numbers stand below each other."""
    item.setData(qt.Qt.TextAlignmentRole, int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter))


def dot(color: str) -> Any:
    """A filled circle as an icon that keeps its colour in a selected row."""
    pixmap = qt.QPixmap(14, 14)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setPen(qt.QPen(qt.QColor(0, 0, 0, 0)))
    painter.setBrush(qt.QBrush(qt.QColor(color)))
    painter.drawEllipse(2, 2, 10, 10)
    painter.end()
    icon = qt.QIcon(pixmap)
    icon.addPixmap(pixmap, qt.QIcon.Selected)
    return icon
