"""Loads .ui files as Slicer does: our widget classes by name, unknown classes refused, MRML connections made."""

from __future__ import annotations

import inspect
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6.QtCore import Property, QBuffer, QIODevice, QObject
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from .pythonqt import QtPropertyAttribute, loading_ui

widget_classes: dict[str, type] = {}  # class name in a .ui file -> stand-in


class UiError(RuntimeError):
    """The .ui file asks for something that the host does not have."""


class UiLoader(QUiLoader):
    """Qt would quietly replace an unknown widget class by its base class; here that is an error."""

    def createWidget(self, className: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        if className in widget_classes:
            widget = widget_classes[className](parent)
            widget.setObjectName(name)
            return widget
        return super().createWidget(className, parent, name)

    def load(self, device: Any, parent: QWidget | None = None) -> QWidget:
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        self._host_check(root)
        connections = _take_mrml_connections(root)
        buffer = QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QIODevice.ReadOnly)
        with loading_ui():
            widget = super().load(buffer, parent)
        for connection in connections:
            _make_connection(widget, connection)
        return widget

    def _host_check(self, root: ElementTree.Element) -> None:
        known = set(self.availableWidgets()) | {"Line", "QWidget"} | set(widget_classes)
        problems = []
        for element in root.iter("widget"):
            class_name, object_name = element.get("class", ""), element.get("name", "")
            if class_name not in known:
                problems.append(f"{object_name}: the host has no widget class '{class_name}'")
                continue
            if class_name in widget_classes:
                for item in element.findall("property"):
                    if item.get("stdset") != "0" and not _has_property(widget_classes[class_name], item.get("name")):
                        problems.append(f"{object_name}: {class_name} has no property '{item.get('name')}'")
        if problems:
            raise UiError("The .ui file cannot be loaded faithfully: " + "; ".join(problems))


def _has_property(cls: type, name: str | None) -> bool:
    """Asked of the class, not of its staticMetaObject: PySide6 may have deleted that with an earlier panel."""
    return isinstance(inspect.getattr_static(cls, name or "", None), (Property, QtPropertyAttribute))


def _take_mrml_connections(root: ElementTree.Element) -> list[dict[str, str]]:
    """Remove the connections that carry MRML pointers, which PySide6 cannot make, and return them."""
    taken = []
    for group in root.findall("connections"):
        for connection in group.findall("connection"):
            parts = {child.tag: (child.text or "") for child in connection}
            if "vtkMRML" in parts["signal"] or parts["signal"].startswith("mrmlSceneChanged"):
                group.remove(connection)
                taken.append(parts)
    return taken


def _make_connection(top: Any, parts: dict[str, str]) -> None:
    sender, receiver = (_named(top, parts[end]) for end in ("sender", "receiver"))
    slot = getattr(receiver, re.split(r"\(", parts["slot"])[0], None)
    if slot is None:
        raise UiError(f"{parts['receiver']} ({type(receiver).__name__}) has no slot {parts['slot']}")
    sender.connect(parts["signal"], slot)


def _named(top: Any, name: str) -> Any:
    found = top if top.objectName == name else top.findChild(QObject, name)
    if found is None:
        raise UiError(f"A connection of the .ui file names '{name}', which is no widget in it")
    return found
