"""A panel's widgets and its parameter node, each following the other; what panels of every module share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import vtk

_PARAMETER = "SlicerParameterName"


class PanelParameters:
    """Connects widgets with the parameter node: by Slicer's connectors, and combo boxes and node selectors by hand.

    Widgets of the .ui file that name their parameter are connected by Slicer. Slicer's connectors know neither combo
    boxes whose entries carry data, nor do they let go of a node selector.

    Args:
        ui: Widgets by name.
        combos: Combo box of each parameter that is one entry's data.
        selectors: Node selector of each parameter that is a node.
        on_change: Called after any parameter changed.
        correct: Called with name and node when a selector chose one by itself, its own being gone; gives a better one.
    """

    def __init__(
        self,
        ui: Any,
        combos: Mapping[str, Any],
        selectors: Mapping[str, Any],
        on_change: Callable[[], None],
        correct: Callable[[str, Any], Any] = lambda name, node: node,
    ) -> None:
        self._correct = correct
        self._ui, self._combos, self._selectors, self._on_change = ui, dict(combos), dict(selectors), on_change
        self._binding: Any = None
        self._observer: Any = None
        self._is_showing = False
        self.node: Any = None
        """The typed parameter node; None while the scene is being closed."""
        for name, combo in self._combos.items():
            self._connect_combo(name, combo)
        for name, selector in self._selectors.items():
            self._connect_selector(name, selector)

    def follow(self, parameters: Any) -> None:
        """Follow a parameter node from now on; None leaves the present one."""
        if None not in (parameters, self.node) and parameters.parameterNode is self.node.parameterNode:
            return
        if self.node is not None:
            self.node.disconnectGui(self._binding)
            self.node.RemoveObserver(self._observer)
        self.node = parameters
        if parameters is not None:
            # Not connectGui: Slicer's returns no tag, so what it connects could never be disconnected.
            self._binding = parameters.connectParametersToGui(self._bound_widgets())
            self._observer = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._on_change())

    def store(self, name: str, value: Any) -> None:
        """Write a parameter, unless the widget that asks for it is only following."""
        if self.may_store:
            setattr(self.node, name, value)

    @contextmanager
    def showing(self) -> Iterator[bool]:
        """Block in which widgets follow the parameters and write nothing; gives False when there is nothing to do."""
        if self.node is None or self._is_showing:
            yield False
            return
        self._is_showing = True
        try:
            for name, combo in self._combos.items():
                index = combo.findData(getattr(self.node, name))
                if index >= 0 and combo.currentIndex != index:
                    combo.setCurrentIndex(index)
            for name, selector in self._selectors.items():
                if selector.currentNode() is not getattr(self.node, name):
                    selector.setCurrentNode(getattr(self.node, name))
            yield True
        finally:
            self._is_showing = False

    @contextmanager
    def writing_nothing(self) -> Iterator[None]:
        """Block in which widgets may change without a parameter being written, as when a list is filled."""
        before, self._is_showing = self._is_showing, True
        try:
            yield
        finally:
            self._is_showing = before

    @property
    def may_store(self) -> bool:
        """Whether there is a parameter node and the widgets do not just follow it."""
        return self.node is not None and not self._is_showing

    @property
    def is_showing(self) -> bool:
        """Whether the widgets just follow the parameters."""
        return self._is_showing

    def _bound_widgets(self) -> dict[str, Any]:
        widgets = [widget for widget in vars(self._ui).values() if widget.property(_PARAMETER)]
        return {str(widget.property(_PARAMETER)): widget for widget in widgets}

    def _connect_combo(self, name: str, combo: Any) -> None:
        combo.connect("currentIndexChanged(int)", lambda index: self.store(name, combo.itemData(index)))

    def _connect_selector(self, name: str, selector: Any) -> None:
        def on_node(_node: Any) -> None:
            node = selector.currentNode()
            if self.node is not None and getattr(self.node, name) is None:
                node = self._correct(name, node)
            self.store(name, node)

        selector.connect("currentNodeChanged(vtkMRMLNode*)", on_node)
