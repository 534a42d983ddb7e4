"""Our own parameterNodeWrapper: typed attributes over a scripted module node, bound both ways to widgets."""

from __future__ import annotations

import typing
import weakref
from typing import Any

import slicer
import vtk

from .gui_connectors import make_connector
from .parameter_types import Choice, Decimals, Default, Maximum, Minimum, Parameter, SingleStep, WithinRange

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "WithinRange",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]

SlicerParameterNamePropertyName = "SlicerParameterName"


def isParameterNodeWrapper(thing: Any) -> bool:
    return getattr(thing, "_is_parameter_node_wrapper", False)


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """Class decorator: annotations become typed attributes stored in the node given to the constructor."""
    return _wrap(cls) if cls is not None else _wrap


def _wrap(cls: Any) -> Any:
    parameters: dict[str, Parameter] = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        parameter = Parameter(name, hint)
        if name in vars(cls):
            parameter.annotations = (Default(vars(cls)[name]), *parameter.annotations)
        parameters[name] = parameter
        setattr(cls, name, _attribute(parameter))
    for name, member in vars(_WrapperBase).items():
        if not name.startswith("__") or name == "__init__":
            setattr(cls, name, member)
    cls.allParameters = parameters
    return cls


def _attribute(parameter: Parameter) -> property:
    def read(self: Any) -> Any:
        if not parameter.is_in(self.parameterNode, parameter.name):  # e.g. after another module cleared the node
            parameter.write(self.parameterNode, parameter.name, parameter.default())
        return parameter.read(self.parameterNode, parameter.name)

    def write(self: Any, value: Any) -> None:
        parameter.validate(value)
        with slicer.util.NodeModify(self.parameterNode):
            parameter.write(self.parameterNode, parameter.name, value)

    return property(read, write)


class _WrapperBase:
    """Members copied into every wrapped class."""

    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._bindings: dict[int, tuple[dict[str, Any], int]] = {}
        self._next_tag = 0
        self._updating_gui = False
        for name, parameter in self.allParameters.items():
            if not parameter.is_in(parameterNode, name):
                parameter.validate(parameter.default())
                parameter.write(parameterNode, name, parameter.default())

    def default(self, name: str) -> Default:
        return Default(self.allParameters[name].default())

    def getValue(self, name: str) -> Any:
        return getattr(self, self._known(name))

    def setValue(self, name: str, value: Any) -> None:
        setattr(self, self._known(name), value)

    def _known(self, name: str) -> str:
        if name not in self.allParameters:
            known = ", ".join(self.allParameters)
            raise ValueError(f"The parameter node has no parameter '{name}'; it has {known}")
        return name

    def connectGui(self, gui: Any) -> None:
        """Bind every widget that carries the dynamic property SlicerParameterName; returns no tag, as in Slicer."""
        import qt

        widgets = gui.findChildren(qt.QWidget) if hasattr(gui, "isWidgetType") else vars(gui).values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name in mapping:
            self._known(name)
        connectors = {name: make_connector(widget, self.allParameters[name]) for name, widget in mapping.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.on_changed(lambda name=name, connector=connector: self._take_from_gui(name, connector))
        # A weak reference, and an end in disconnectGui: an observer that outlives the wrapper calls freed code
        # (in Slicer up to pull request 9063).
        me = weakref.ref(self)
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me() and me()._show_in_gui())
        self._next_tag += 1
        self._bindings[self._next_tag] = (connectors, observer)
        return self._next_tag

    def disconnectGui(self, tag: int) -> None:
        if tag in self._bindings:
            connectors, observer = self._bindings.pop(tag)
            self.RemoveObserver(observer)
            for connector in connectors.values():
                connector.disconnect()

    def _take_from_gui(self, name: str, connector: Any) -> None:
        if not self._updating_gui:
            self.setValue(name, connector.read())

    def _show_in_gui(self) -> None:
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            for connectors, _ in self._bindings.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating_gui = False

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: Any) -> Any:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()
