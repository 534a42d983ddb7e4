"""Which widget shows which parameter type; as in Slicer, the widget's class has to match exactly."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from typing import Any

from PySide6 import QtWidgets

from . import ctk_widgets, mrml_widgets
from .parameter_types import Choice, Decimals, Maximum, Minimum, Parameter, SingleStep, WithinRange, first_annotation


class Connector:
    """Reads, writes and follows one widget."""

    def __init__(self, widget: Any, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self.widget, self._signal, self.read, self.write = widget, signal, read, write
        self._slot: Callable[..., None] | None = None

    def on_changed(self, callback: Callable[[], None]) -> None:
        self._slot = lambda *_: callback()
        self._signal.connect(self._slot)

    def disconnect(self) -> None:
        if self._slot is not None:
            self._signal.disconnect(self._slot)
            self._slot = None


def make_connector(widget: Any, parameter: Parameter) -> Connector:
    """The connector for this widget class and parameter type, or a RuntimeError that names both."""
    kind, cls = parameter.kind, type(widget)
    if kind is bool and cls in (QtWidgets.QCheckBox, QtWidgets.QPushButton):
        widget.checkable = True
        return _by_property(widget, widget.toggled, "checked")
    if kind is int and cls in (QtWidgets.QSlider, QtWidgets.QSpinBox):
        _set_range(widget, parameter, int, -(2**31), 2**31 - 1)
        return _by_property(widget, widget.valueChanged, "value")
    if kind is float and cls in (QtWidgets.QDoubleSpinBox, ctk_widgets.ctkSliderWidget):
        if cls is ctk_widgets.ctkSliderWidget and not _range_of(parameter):
            raise RuntimeError(f"'{parameter.name}' needs a range (WithinRange) to be shown by a ctkSliderWidget")
        _set_range(widget, parameter, float, -float("inf"), float("inf"))
        return _by_property(widget, widget.valueChanged, "value")
    if cls is QtWidgets.QComboBox and (choices := _choices_of(parameter)):
        return _by_choices(widget, choices)
    if kind is str and cls is QtWidgets.QLineEdit:
        return _by_property(widget, widget.textChanged, "text")
    if kind is str and cls is QtWidgets.QTextEdit:
        return Connector(widget, widget.textChanged, widget.toPlainText, lambda text: _set_plain_text(widget, text))
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        names = {ctk_widgets.ctkPathLineEdit: "currentPath", ctk_widgets.ctkDirectoryButton: "directory"}
        if cls in names:
            name = names[cls]
            return Connector(
                widget,
                getattr(widget, name + "Changed"),
                lambda: kind(getattr(widget, name)),
                lambda path: setattr(widget, name, str(path)),
            )
    if parameter.is_node and cls is mrml_widgets.qMRMLNodeComboBox:
        widget.nodeTypes = [kind.__name__]
        return Connector(widget, widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(
        f"No widget connection from {cls.__name__} '{widget.objectName}' to parameter '{parameter.name}' of type {kind}"
    )


def _by_property(widget: Any, signal: Any, name: str) -> Connector:
    return Connector(widget, signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _set_plain_text(widget: Any, text: str) -> None:
    widget.setPlainText(text)


def _choices_of(parameter: Parameter) -> list[tuple[str, Any]]:
    choice = first_annotation(parameter.annotations, Choice)
    if choice is not None:
        return [(str(value), value) for value in choice.choices]
    if isinstance(parameter.kind, type) and issubclass(parameter.kind, enum.Enum):
        label = getattr(parameter.kind, "label", lambda member: member.name)
        return [(label(member), member) for member in parameter.kind]
    return []


def _by_choices(widget: Any, choices: list[tuple[str, Any]]) -> Connector:
    values = [value for _, value in choices]
    widget.clear()
    widget.addItems([text for text, _ in choices])
    return Connector(
        widget,
        widget.currentIndexChanged,
        lambda: values[widget.currentIndex],
        lambda value: widget.setCurrentIndex(values.index(value)),
    )


def _range_of(parameter: Parameter) -> tuple[float, float] | None:
    within = first_annotation(parameter.annotations, WithinRange)
    low, high = (first_annotation(parameter.annotations, cls) for cls in (Minimum, Maximum))
    if within is not None:
        return within.minimum, within.maximum
    return (low.minimum, high.maximum) if low is not None and high is not None else None


def _set_range(widget: Any, parameter: Parameter, number: type, lowest: float, highest: float) -> None:
    decimals, step = (first_annotation(parameter.annotations, cls) for cls in (Decimals, SingleStep))
    if decimals is not None:
        widget.decimals = decimals.value
    if step is not None:
        widget.singleStep = number(step.value)
    low = first_annotation(parameter.annotations, Minimum)
    high = first_annotation(parameter.annotations, Maximum)
    bounds = _range_of(parameter) or (low.minimum if low else lowest, high.maximum if high else highest)
    widget.setRange(number(bounds[0]), number(bounds[1]))
