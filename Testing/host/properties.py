"""Qt properties of the stand-ins, short to declare."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property

from .pythonqt import PRIVATE_PREFIX


def stored_property(kind: Any, name: str, default: Any, changed: str = "") -> Any:
    """A Qt property kept on the Python object; `changed` names the method to call with a new value."""
    key = PRIVATE_PREFIX + name

    def read(self: Any) -> Any:
        return self.__dict__.get(key, list(default) if isinstance(default, list) else default)

    def write(self: Any, value: Any) -> None:
        differs = read(self) != value
        self.__dict__[key] = value
        if differs and changed:
            getattr(self, changed)(value)

    return Property(kind, read, write)


def forwarded_property(kind: Any, part: str, name: str) -> Any:
    """A Qt property that is really a property of the inner widget `part`."""
    return Property(
        kind,
        lambda self: getattr(getattr(self, PRIVATE_PREFIX + part), name),
        lambda self, value: setattr(getattr(self, PRIVATE_PREFIX + part), name, value),
    )
