"""Text-guided relevance masks for medical images; the library behind the Slicer modules and the command `whatmatters`.

Importing the package loads nothing but the standard library, so that Slicer can import it before anything is installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from MaskWhatMattersLib.corn.predict import segment_left_atrium as segment_left_atrium
    from MaskWhatMattersLib.mass.segment_by_example import segment_by_example as segment_by_example
    from MaskWhatMattersLib.relevance import localize as localize
    from MaskWhatMattersLib.volumes import read_volume as read_volume
    from MaskWhatMattersLib.volumes import write_volume as write_volume

__version__ = "0.1.0"

_PUBLIC = {
    "localize": "MaskWhatMattersLib.relevance",
    "read_volume": "MaskWhatMattersLib.volumes",
    "segment_by_example": "MaskWhatMattersLib.mass.segment_by_example",
    "segment_left_atrium": "MaskWhatMattersLib.corn.predict",
    "write_volume": "MaskWhatMattersLib.volumes",
}

__all__ = ["__version__", "localize", "read_volume", "segment_by_example", "segment_left_atrium", "write_volume"]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
