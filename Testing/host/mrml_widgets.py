"""Stand-ins for Slicer's qMRML widgets over a real scene: filters, preselection and removal follow the scene."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import vtk
from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from .ctk_widgets import ctkSliderWidget
from .properties import stored_property
from .pythonqt import register_native

_SCENE_EVENTS = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.NodeRemovedEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
    slicer.vtkMRMLScene.EndImportEvent,
)


class Observing:
    """Keeps one set of VTK observers per observed object, dropped when the object changes."""

    def host_observe(self, role: str, observed: Any, events: tuple[Any, ...], callback: Any) -> None:
        if "_host_observers" not in self.__dict__:
            kept: dict[str, Any] = {}
            self.__dict__["_host_observers"] = kept
            self.destroyed.connect(lambda *_: [_stop_observing(kept, old) for old in list(kept)])
        observers = self.__dict__["_host_observers"]
        _stop_observing(observers, role)
        if observed is not None:
            observers[role] = [(observed, observed.AddObserver(event, callback)) for event in events]


def _stop_observing(observers: dict[str, Any], role: str) -> None:
    for observed, tag in observers.pop(role, []):
        observed.RemoveObserver(tag)


@register_native
class qMRMLWidget(QWidget):
    """Holds the scene and hands it to the children that are connected in the .ui file."""

    mrmlSceneChanged = Signal(object)
    host_signals: ClassVar = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}

    def mrmlScene(self) -> Any:
        return self.__dict__.get("_host_scene")

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self.mrmlScene():
            self._host_scene = scene
            self.mrmlSceneChanged.emit(scene)


@register_native
class qSlicerWidget(qMRMLWidget):
    pass


@register_native
class qMRMLNodeComboBox(Observing, qMRMLWidget):
    """Lists the scene's nodes of some classes; without a None entry it always selects one, as Slicer's does."""

    currentNodeChanged = Signal(object)
    currentNodeChangedToValid = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    host_signals: ClassVar = {
        **qMRMLWidget.host_signals,
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)",
        "currentNodeChanged(bool)": "currentNodeChangedToValid(bool)",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated(PyObject)",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded(PyObject)",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser(PyObject)",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved(PyObject)",
    }
    nodeTypes = stored_property("QStringList", "nodeTypes", [], "_host_refresh")
    hideChildNodeTypes = stored_property("QStringList", "hideChildNodeTypes", [], "_host_refresh")
    showChildNodeTypes = stored_property(bool, "showChildNodeTypes", True, "_host_refresh")
    showHidden = stored_property(bool, "showHidden", False, "_host_refresh")
    noneEnabled = stored_property(bool, "noneEnabled", False, "_host_refresh")
    noneDisplay = stored_property(str, "noneDisplay", "None", "_host_refresh")
    addEnabled = stored_property(bool, "addEnabled", True)
    removeEnabled = stored_property(bool, "removeEnabled", True)
    editEnabled = stored_property(bool, "editEnabled", False)
    renameEnabled = stored_property(bool, "renameEnabled", False)
    selectNodeUponCreation = stored_property(bool, "selectNodeUponCreation", True)
    baseName = stored_property(str, "baseName", "")
    interactionNodeSingletonTag = stored_property(str, "interactionNodeSingletonTag", "")
    currentNodeID = Property(
        str,
        lambda self: self.currentNode().GetID() if self.currentNode() else "",
        lambda self, node_id: self.setCurrentNodeID(node_id),
    )

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._host_current = self._host_requested = None
        self._host_nodes: list[Any] = []
        self._host_attributes: list[tuple[str, str, Any]] = []
        self._host_box = QComboBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._host_box)
        self._host_box.activated.connect(lambda value: self._host_picked(value))

    def setMRMLScene(self, scene: Any) -> None:
        super().setMRMLScene(scene)
        self.host_observe("scene", scene, _SCENE_EVENTS, self._host_refresh)
        self._host_refresh()

    def currentNode(self) -> Any:
        return self._host_current

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            self.setCurrentNodeID(node)
            return
        self._host_requested = None if node in self._host_nodes else node
        if self._host_requested is not None:
            node = None  # not listed: filtered out, or not yet listed while a scene is being read
        if node is None and not self.noneEnabled and self._host_nodes:
            node = self._host_current if self._host_current in self._host_nodes else self._host_nodes[0]
        self._host_select(node)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self.mrmlScene().GetNodeByID(node_id) if self.mrmlScene() and node_id else None)

    def nodeCount(self) -> int:
        return len(self._host_nodes)

    def nodeFromIndex(self, index: int) -> Any:
        return self._host_nodes[index] if 0 <= index < len(self._host_nodes) else None

    def nodes(self) -> list[Any]:
        return list(self._host_nodes)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._host_attributes.append((node_type, name, value))
        self._host_refresh()

    def addNode(self, node_type: str | None = None) -> Any:
        node = self.mrmlScene().AddNewNodeByClass(node_type or self.nodeTypes[0], self.baseName)
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        if self._host_current is not None:
            self.mrmlScene().RemoveNode(self._host_current)

    def _host_accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if not any(node.IsA(t) if self.showChildNodeTypes else node.GetClassName() == t for t in self.nodeTypes):
            return False
        if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
            return False
        return all(
            node.GetAttribute(name) is not None and (value is None or node.GetAttribute(name) == str(value))
            for node_type, name, value in self._host_attributes
            if node.IsA(node_type)
        )

    def _host_refresh(self, *_: Any) -> None:
        scene = self.mrmlScene()
        if scene is not None and scene.IsBatchProcessing():
            return
        nodes = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())] if scene is not None else []
        before, self._host_nodes = self._host_nodes, [node for node in nodes if self._host_accepts(node)]
        added = [node for node in self._host_nodes if node not in before]
        for node in added:
            self.host_observe(node.GetID(), node, (vtk.vtkCommand.ModifiedEvent,), self._host_relabel)
        self._host_relabel()
        if self._host_requested in self._host_nodes:
            self._host_current, requested = None, self._host_requested
            self.setCurrentNode(requested)
        current = self._host_current if self._host_current in self._host_nodes else None
        if current is None and not self.noneEnabled and self._host_nodes:
            current = self._host_nodes[0]
        self._host_select(current)
        for node in added:
            self.nodeAdded.emit(node)

    def _host_relabel(self, *_: Any) -> None:
        labels = [node.GetName() or "" for node in self._host_nodes]
        labels = [self.noneDisplay, *labels] if self.noneEnabled else labels
        if [self._host_box.itemText(i) for i in range(self._host_box.count)] != labels:
            self._host_box.clear()
            self._host_box.addItems(labels)
            self._host_show_current()

    def _host_show_current(self) -> None:
        shift = 1 if self.noneEnabled else 0
        known = self._host_current in self._host_nodes
        self._host_box.setCurrentIndex(self._host_nodes.index(self._host_current) + shift if known else shift - 1)

    def _host_picked(self, index: int) -> None:
        self._host_requested = None
        index -= 1 if self.noneEnabled else 0
        self._host_select(self._host_nodes[index] if index >= 0 else None)
        self.nodeActivated.emit(self._host_current)

    def _host_select(self, node: Any) -> None:
        changed, self._host_current = node is not self._host_current, node
        self._host_show_current()
        if changed:
            self.currentNodeChanged.emit(node)
            self.currentNodeChangedToValid.emit(node is not None)
            self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")


@register_native
class qMRMLSliderWidget(ctkSliderWidget):
    quantity = stored_property(str, "quantity", "")
    unitAwareProperties = stored_property(int, "unitAwareProperties", 0)

    def setMRMLScene(self, scene: Any) -> None:
        self._host_scene = scene


@register_native
class qMRMLSubjectHierarchyTreeView(qMRMLWidget):
    """Only there because Slicer's own parameter node code names it."""

    currentItemsChanged = Signal(object)


@register_native
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The panel of a scripted module; `self()` gives the Python widget, as in Slicer."""

    isEntered = stored_property(bool, "isEntered", False)
    moduleName = stored_property(str, "moduleName", "")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        QVBoxLayout(self)
        self._host_python = None
        self._host_make = None

    def self(self) -> Any:
        return self._host_python

    def reload(self) -> None:
        """Build the Python widget anew, as slicer.util.reloadScriptedModule and the first opening do."""
        self._host_python = self._host_make(self)
        setattr(slicer.modules, type(self._host_python).__name__, self._host_python)
        self._host_python.setup()
        if self.isEntered:
            self._host_python.enter()

    def enter(self) -> None:
        self.isEntered = True
        _call_if_there(self._host_python, "enter")

    def exit(self) -> None:
        self.isEntered = False
        _call_if_there(self._host_python, "exit")


def _call_if_there(python_widget: Any, name: str) -> None:
    hook = getattr(python_widget, name, None)
    if hook is not None:
        hook()
