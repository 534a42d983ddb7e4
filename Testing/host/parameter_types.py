"""How typed parameters are written to and read from a node: text, as in Slicer, so that saved scenes keep them."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any

import slicer


@dataclass(frozen=True)
class Default:
    value: Any


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], got {value}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, got {value}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, got {value}")


@dataclass(frozen=True)
class Choice:
    choices: Any

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value must be one of {list(self.choices)}, got {value!r}")


@dataclass(frozen=True)
class Decimals:
    value: int


@dataclass(frozen=True)
class SingleStep:
    value: float


def split_annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if typing.get_origin(hint) is typing.Annotated:
        kind, *annotations = typing.get_args(hint)
        return kind, tuple(annotations)
    return hint, ()


def first_annotation(annotations: tuple[Any, ...], cls: type) -> Any:
    return next((annotation for annotation in annotations if isinstance(annotation, cls)), None)


class Parameter:
    """One named, typed value of a parameter node."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name = name
        self.kind, self.annotations = split_annotated(hint)
        args = typing.get_args(self.kind)
        if typing.get_origin(self.kind) in (typing.Union, types.UnionType) and len(args) == 2 and args[1] is type(None):
            self.kind = args[0]
            self.optional = True
        else:
            self.optional = False
        origin = typing.get_origin(self.kind)
        self.is_list = origin is list
        self.item = Parameter(name, typing.get_args(self.kind)[0]) if self.is_list else None
        if not (self.is_list or self.is_node or self._is_simple()):
            raise TypeError(f"Parameter '{name}': the test host's parameterNodeWrapper does not know the type {hint}")

    @property
    def is_node(self) -> bool:
        return isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)

    def _is_simple(self) -> bool:
        return isinstance(self.kind, type) and (
            self.kind in (int, float, str, bool) or issubclass(self.kind, enum.Enum | pathlib.PurePath)
        )

    def default(self) -> Any:
        given = first_annotation(self.annotations, Default)
        if given is not None:
            return given.value
        if self.is_list:
            return []
        if self.is_node or self.optional:
            return None
        return next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()

    def validate(self, value: Any) -> None:
        if self.is_list:
            for item in value:
                self.item.validate(item)
        elif not (value is None and (self.is_node or self.optional)):
            accepted = (int, float) if self.kind is float else self.kind
            if not isinstance(value, accepted) or (isinstance(value, bool) and self.kind in (int, float)):
                raise TypeError(f"'{self.name}' must be {self.kind.__name__}, got {type(value).__name__} ({value!r})")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)

    def is_in(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}_len" if self.is_list else name))

    def write(self, node: Any, name: str, value: Any) -> None:
        if self.is_list:
            for index in range(len(value), int(node.GetParameter(f"{name}_len") or 0)):
                node.UnsetParameter(f"{name}_{index}")
                node.RemoveNodeReferenceIDs(f"{name}_{index}")
            for index, item in enumerate(value):
                self.item.write(node, f"{name}_{index}", item)
            node.SetParameter(f"{name}_len", str(len(value)))
        elif self.is_node:
            node.SetParameter(name, "")  # marks the parameter as known even while no node is chosen
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(name, value.name if isinstance(value, enum.Enum) else "" if value is None else str(value))

    def read(self, node: Any, name: str) -> Any:
        if self.is_list:
            count = int(node.GetParameter(f"{name}_len") or 0)
            return ObservedList(self, node, name, [self.item.read(node, f"{name}_{index}") for index in range(count)])
        if self.is_node:
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if self.optional and not text:
            return None
        if self.kind is bool:
            return text == "True"
        return self.kind[text] if issubclass(self.kind, enum.Enum) else self.kind(text)


class ObservedList(MutableSequence[Any]):
    """A list that writes itself back to the node whenever it changes."""

    def __init__(self, parameter: Parameter, node: Any, name: str, items: list[Any]) -> None:
        self._parameter, self._node, self._name, self._items = parameter, node, name, items

    def _save(self) -> None:
        self._parameter.validate(self._items)
        with slicer.util.NodeModify(self._node):
            self._parameter.write(self._node, self._name, self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._items[index] = value
        self._save()

    def __delitem__(self, index: Any) -> None:
        del self._items[index]
        self._save()

    def insert(self, index: int, value: Any) -> None:
        self._items.insert(index, value)
        self._save()

    def __eq__(self, other: object) -> bool:
        return list(self._items) == (list(other._items) if isinstance(other, ObservedList) else other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"ObservedList({self._items!r})"
