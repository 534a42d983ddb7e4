"""A picture from a job, shown in a label of a panel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
import slicer


class PictureView:
    """Shows PNG pictures in a QLabel, as large as the label's width and a largest height allow.

    Args:
        label: The QLabel.
        height: Most pixels that a picture is high.
    """

    def __init__(self, label: Any, height: int) -> None:
        self._label, self._height = label, height
        self._shown: bytes | None = None
        self._width = 0

    @property
    def shown(self) -> bytes | None:
        """The PNG that is shown; None without one."""
        return self._shown

    def show(self, png: bytes) -> None:
        """Show a picture; cheap when it is shown already."""
        width = max(int(self._label.width), 120)
        if png == self._shown and width == self._width:
            return
        self._shown, self._width = png, width
        pixmap = _pixmap(png)
        self._label.setPixmap(pixmap.scaled(width, self._height, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation))

    def tell(self, text: str) -> None:
        """Show words in place of the picture."""
        self._shown = None
        self._label.text = text

    def clear(self) -> None:
        """Show nothing."""
        self._shown = None
        self._label.clear()


def _pixmap(png: bytes) -> Any:
    """Slicer's Python reads pictures from files only."""
    with tempfile.TemporaryDirectory(prefix="picture-", dir=slicer.app.temporaryPath) as folder:
        file = Path(folder) / "picture.png"
        file.write_bytes(png)
        return qt.QPixmap(str(file))
