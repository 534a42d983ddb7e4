"""Stand-ins for the CTK widgets that our modules use: same properties, signals and rough looks."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QRect, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QTextBrowser,
    QToolButton,
    QWidget,
)

from .properties import forwarded_property, stored_property
from .pythonqt import register_native

__all__ = [
    "ctkCheckBox",
    "ctkCollapsibleButton",
    "ctkCollapsibleGroupBox",
    "ctkColorPickerButton",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkDoubleSpinBox",
    "ctkDynamicSpacer",
    "ctkExpandableWidget",
    "ctkFittedTextBrowser",
    "ctkMessageBox",
    "ctkPathLineEdit",
    "ctkPushButton",
    "ctkRangeWidget",
    "ctkSearchBox",
    "ctkSliderWidget",
]


def _row(widget: QWidget, *parts: QWidget) -> None:
    layout = QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)


@register_native
class ctkCollapsibleButton(QAbstractButton):
    contentsCollapsed = Signal(bool)
    collapsed = stored_property(bool, "collapsed", False, "_host_collapse")
    flat = stored_property(bool, "flat", False)
    contentsFrameShape = stored_property(int, "contentsFrameShape", 0)
    collapsedHeight = stored_property(int, "collapsedHeight", 10)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        if isinstance(parent, str):
            self.setText(parent)
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Maximum)
        self.setContentsMargins(0, 26, 0, 0)
        self.clicked.connect(lambda: setattr(self, "collapsed", not self.collapsed))

    def _host_collapse(self, collapsed: bool) -> None:
        self._host_hide_children()
        self.setMaximumHeight(26 if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    def _host_hide_children(self) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(not self.collapsed)

    def showEvent(self, event: Any) -> None:
        self._host_hide_children()  # children may have been added after the property was set
        super().showEvent(event)

    def paintEvent(self, _event: Any) -> None:
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width, 24)
        option.text = ("▸  " if self.collapsed else "▾  ") + self.text
        painter = QPainter(self)
        self.style().drawControl(QStyle.CE_PushButton, option, painter, self)
        painter.end()


@register_native
class ctkCollapsibleGroupBox(QGroupBox):
    collapsed = stored_property(bool, "collapsed", False, "_host_collapse")

    def _host_collapse(self, collapsed: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(not collapsed)


@register_native
class ctkDoubleSpinBox(QDoubleSpinBox):
    pass


class _SliderAndSpinBox(QWidget):
    """A slider in steps of `singleStep` beside a spin box that holds the exact value."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._host_box = QDoubleSpinBox(self)
        self._host_slider = QSlider(Qt.Horizontal, self)
        self._host_box.setRange(0.0, 100.0)
        _row(self, self._host_slider, self._host_box)
        self._host_box.valueChanged.connect(lambda value: self._host_value_changed(value))
        self._host_slider.valueChanged.connect(lambda value: self._host_slider_moved(value))
        self._host_sync()

    def _host_sync(self) -> None:
        box, slider = self._host_box, self._host_slider
        step = box.singleStep or 1.0
        slider.blockSignals(True)
        slider.setRange(0, max(0, round((box.maximum - box.minimum) / step)))
        slider.setValue(round((box.value - box.minimum) / step))
        slider.blockSignals(False)

    def _host_slider_moved(self, position: int) -> None:
        self._host_box.setValue(self._host_box.minimum + position * self._host_box.singleStep)

    def _host_value_changed(self, value: float) -> None:
        self._host_sync()
        self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._host_box.setValue(value)

    def setRange(self, low: float, high: float) -> None:
        self._host_box.setRange(low, high)
        self._host_sync()

    def setMinimum(self, value: float) -> None:
        self.setRange(value, self._host_box.maximum)

    def setMaximum(self, value: float) -> None:
        self.setRange(self._host_box.minimum, value)

    def _host_set_step(self, step: float) -> None:
        self._host_box.setSingleStep(step)
        self._host_sync()


@register_native
class ctkSliderWidget(_SliderAndSpinBox):
    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    value = forwarded_property(float, "box", "value")
    minimum = Property(float, lambda self: self._host_box.minimum, _SliderAndSpinBox.setMinimum)
    maximum = Property(float, lambda self: self._host_box.maximum, _SliderAndSpinBox.setMaximum)
    singleStep = Property(float, lambda self: self._host_box.singleStep, _SliderAndSpinBox._host_set_step)
    decimals = forwarded_property(int, "box", "decimals")
    suffix = forwarded_property(str, "box", "suffix")
    prefix = forwarded_property(str, "box", "prefix")
    pageStep = stored_property(float, "pageStep", 10.0)
    tickInterval = stored_property(float, "tickInterval", 0.0)
    tracking = stored_property(bool, "tracking", True)
    spinBoxVisible = stored_property(bool, "spinBoxVisible", True)


@register_native
class ctkRangeWidget(QWidget):
    valuesChanged = Signal(float, float)
    minimum = stored_property(float, "minimum", 0.0)
    maximum = stored_property(float, "maximum", 99.0)
    singleStep = stored_property(float, "singleStep", 1.0)
    decimals = stored_property(int, "decimals", 2)
    minimumValue = stored_property(float, "minimumValue", 0.0, "_host_changed")
    maximumValue = stored_property(float, "maximumValue", 99.0, "_host_changed")

    def _host_changed(self, _value: float) -> None:
        self.valuesChanged.emit(self.minimumValue, self.maximumValue)

    def setValues(self, low: float, high: float) -> None:
        self.minimumValue, self.maximumValue = low, high

    def setRange(self, low: float, high: float) -> None:
        self.minimum, self.maximum = low, high


@register_native
class ctkPathLineEdit(QWidget):
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    currentPath = Property(str, lambda self: self._host_edit.text, lambda self, path: self.setCurrentPath(path))
    nameFilters = stored_property("QStringList", "nameFilters", [])
    filters = stored_property(int, "filters", 0)
    label = stored_property(str, "label", "")
    settingKey = stored_property(str, "settingKey", "")
    showBrowseButton = stored_property(bool, "showBrowseButton", True)
    showHistoryButton = stored_property(bool, "showHistoryButton", True)
    Files, Dirs = 0x002, 0x001

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._host_edit = QLineEdit(self)
        _row(self, self._host_edit, QToolButton(self, text="..."))
        self._host_edit.textChanged.connect(self.currentPathChanged)

    def setCurrentPath(self, path: str) -> None:
        self._host_edit.setText(path)

    def addCurrentPathToHistory(self) -> None:
        pass


@register_native
class ctkDirectoryButton(QPushButton):
    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    directory = stored_property(str, "directory", "", "_host_directory_changed")
    caption = stored_property(str, "caption", "")

    def _host_directory_changed(self, directory: str) -> None:
        self.setText(directory)
        self.directoryChanged.emit(directory)


@register_native
class ctkColorPickerButton(QPushButton):
    colorChanged = Signal(QColor)
    color = stored_property(QColor, "color", QColor(0, 0, 0), "_host_color_changed")
    displayColorName = stored_property(bool, "displayColorName", True)

    def _host_color_changed(self, color: QColor) -> None:
        self.setText(color.name() if self.displayColorName else "")
        self.setStyleSheet(f"background-color: {color.name()};")
        self.colorChanged.emit(color)

    def setColor(self, color: QColor) -> None:
        self.color = color


@register_native
class ctkComboBox(QComboBox):
    defaultText = stored_property(str, "defaultText", "")


@register_native
class ctkCheckBox(QCheckBox):
    pass


@register_native
class ctkPushButton(QPushButton):
    pass


@register_native
class ctkExpandableWidget(QFrame):
    orientations = stored_property(int, "orientations", 1)


@register_native
class ctkDynamicSpacer(QWidget):
    pass


@register_native
class ctkSearchBox(QLineEdit):
    showSearchIcon = stored_property(bool, "showSearchIcon", False)


@register_native
class ctkFittedTextBrowser(QTextBrowser):
    collapsed = stored_property(bool, "collapsed", True)
    collapsibleText = stored_property(str, "collapsibleText", "", "setHtml")


@register_native
class ctkMessageBox(QMessageBox):
    dontShowAgain = stored_property(bool, "dontShowAgain", False)
    dontShowAgainVisible = stored_property(bool, "dontShowAgainVisible", False)
    dontShowAgainSettingsKey = stored_property(str, "dontShowAgainSettingsKey", "")
