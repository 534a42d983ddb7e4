"""Makes PySide6 behave as PythonQt does in Slicer: properties as attributes, strict attributes, connect by signature.

PySide6 classes are changed in place, because Slicer's own code compares ``type(widget)`` with them.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Bit 2: enums derive from int, as in PythonQt. Read by PySide6 once, when it is first imported.
os.environ["PYSIDE6_OPTION_PYTHON_ENUM"] = "2"

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

QT_MODULES = (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools)
PRIVATE_PREFIX = "_host_"  # attributes that the stand-ins themselves may add to their Qt objects

_native_classes: set[type] = set()
_qt_connect = QtCore.QObject.connect
_qt_disconnect = QtCore.QObject.disconnect
_qt_get_attribute = QtCore.QObject.__getattribute__
_patched = False
_loading_ui = False


class QtPropertyAttribute:
    """A declared Qt property as a Python attribute; on the class, the method of the same name stays visible."""

    def __init__(self, name: str, writable: bool, method: Any) -> None:
        self.name, self.writable, self.method = name, writable, method

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            # QTimer.singleShot(...) is a static method, timer.singleShot a property.
            return self if self.method is None else self.method
        return QtCore.QObject.property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} object is not writable")
        if not QtCore.QObject.setProperty(instance, self.name, value):
            raise AttributeError(
                f"Property '{self.name}' of {type(instance).__name__} object does not accept "
                f"an object of type {type(value).__name__} ({value!r})"
            )


def register_native(cls: type) -> type:
    """Class decorator: instances of exactly this class refuse attributes that C++ does not have."""
    _native_classes.add(cls)
    return cls


@contextmanager
def loading_ui() -> Iterator[None]:
    """While a .ui file is being loaded, new attributes are ignored instead of refused."""
    global _loading_ui
    _loading_ui = True
    try:
        yield
    finally:
        _loading_ui = False


def make_pythonqt_like() -> None:
    """Patch every QObject class of PySide6; safe to call again."""
    global _patched
    if _patched:
        return
    if not isinstance(QtCore.Qt.AlignmentFlag.AlignLeft, int):
        raise RuntimeError(
            "PySide6 was imported before the test host, so its enums are no integers; start the host first."
        )
    _survive_uncounted_none()
    classes = {
        value
        for module in QT_MODULES
        for name in dir(module)
        if inspect.isclass(value := getattr(module, name)) and issubclass(value, QtCore.QObject)
    }
    for cls in classes:
        _add_properties(cls)
        register_native(cls)
        cls.__setattr__ = _set_attribute
    QtCore.QObject.__getattribute__ = _get_attribute
    QtCore.QObject.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    QtCore.QObject.className = lambda self: self.metaObject().className()
    QtCore.QObject.delete = lambda self: shiboken6.delete(self)
    _patched = True


def _survive_uncounted_none() -> None:
    # PySide6 6.12.0 returns None without counting the reference; before Python 3.12, where None became immortal, that
    # ends the process after some thousand calls. Remove once that version is no longer allowed.
    before = sys.getrefcount(None)
    for _ in range(100):
        QtCore.QCoreApplication.processEvents()
    if before - sys.getrefcount(None) > 50:
        ctypes.c_ssize_t.from_address(id(None)).value += 2**40


def _add_properties(cls: Any) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        declared = meta.property(index)
        method = getattr(cls, declared.name(), None)
        setattr(cls, declared.name(), QtPropertyAttribute(declared.name(), declared.isWritable(), method))


def _set_attribute(self: Any, name: str, value: Any) -> None:
    attribute = inspect.getattr_static(type(self), name, None)
    if isinstance(attribute, QtCore.Property):
        attribute.fset(self, value)
    elif hasattr(type(attribute), "__set__"):
        attribute.__set__(self, value)
    elif isinstance(value, QtCore.SignalInstance):
        self.__dict__[name] = value  # PySide6 keeps a looked-up signal on the object
    elif type(self) in _native_classes and not name.startswith(PRIVATE_PREFIX):
        if _loading_ui:
            return  # PySide6 6.12 hangs every child on the top widget; PythonQt does not
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
    else:
        self.__dict__[name] = value


def _get_attribute(self: Any, name: str) -> Any:
    # Shiboken answers these two before it looks at the class, so patching the class would not be enough.
    if name == "connect":
        return lambda *arguments: _connect(self, *arguments)
    if name == "disconnect":
        return lambda *arguments: _disconnect(self, *arguments)
    return _qt_get_attribute(self, name)


def _connect(sender: Any, signal: Any, receiver: Any = None, slot: str | None = None) -> Any:
    if not isinstance(signal, str) or signal[:1].isdigit():  # Qt's own form: (sender, SIGNAL(...), callable)
        return _qt_connect(sender if isinstance(signal, str) else signal, *_drop_none(signal, receiver, slot))
    if isinstance(receiver, QtCore.QObject) and slot is not None:
        receiver = getattr(receiver, slot.split("(")[0])
    if not callable(receiver):
        raise TypeError(f"{type(sender).__name__}.connect('{signal}', ...) needs something to call, got {receiver!r}")
    signature = _declared_signature(sender, signal)
    connection = _qt_connect(sender, QtCore.SIGNAL(signature), _slot_for(receiver))
    sender.__dict__.setdefault(PRIVATE_PREFIX + "connections", []).append((signature, receiver, connection))
    return True


def _drop_none(signal: Any, receiver: Any, slot: Any) -> list[Any]:
    arguments = [signal] if isinstance(signal, str) else []
    return arguments + [argument for argument in (receiver, slot) if argument is not None]


def _disconnect(sender: Any, signal: Any = None, receiver: Any = None, slot: str | None = None) -> bool:
    if signal is not None and not isinstance(signal, str):
        return _qt_disconnect(*[argument for argument in (signal, receiver, slot) if argument is not None])
    if isinstance(receiver, QtCore.QObject) and slot is not None:
        receiver = getattr(receiver, slot.split("(")[0])
    signature = None if signal is None else _declared_signature(sender, signal)
    connections = sender.__dict__.get(PRIVATE_PREFIX + "connections", [])
    matching = [
        entry for entry in connections if signature in (None, entry[0]) and (receiver is None or entry[1] == receiver)
    ]
    for entry in matching:
        _qt_disconnect(entry[2])
        connections.remove(entry)
    return bool(matching)


def _declared_signature(sender: Any, signal: str) -> str:
    """The signature under which this object really declares the signal, e.g. PyObject in place of vtkMRMLNode*."""
    wanted = bytes(QtCore.QMetaObject.normalizedSignature(signal).data()).decode()
    signature = getattr(type(sender), "host_signals", {}).get(wanted, wanted)
    if sender.metaObject().indexOfSignal(signature) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal '{signal}'")
    return signature


def _slot_for(function: Callable[..., Any]) -> Callable[..., None]:
    """Passes only as many arguments as the function takes, as PythonQt does, and reports what it raises."""
    accepted = _accepted_arguments(function)

    def call(*arguments: Any) -> None:
        try:
            function(*arguments[:accepted])
        except Exception:
            sys.excepthook(*sys.exc_info())  # as in PythonQt, an error in a slot does not reach the sender

    return call


def _accepted_arguments(function: Callable[..., Any]) -> int | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0 if isinstance(getattr(function, "__self__", None), QtCore.QObject) else None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
