"""`slicer.app.coreIOManager()` over real storage nodes: what slicer.util.loadVolume, saveNode and saveScene need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QObject

_TYPES_BY_ENDING = {
    ".seg.nrrd": "SegmentationFile",
    ".mrb": "SceneFile",
    ".mrml": "SceneFile",
    ".h5": "TransformFile",
    ".tfm": "TransformFile",
    ".txt": "TextFile",
}


class CoreIOManager(QObject):
    def fileType(self, filename: str) -> str:
        return next((kind for end, kind in _TYPES_BY_ENDING.items() if str(filename).endswith(end)), "VolumeFile")

    def fileWriterFileType(self, node: Any) -> str:
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "NodeFile"

    def loadNodes(self, fileType: str, properties: dict[str, Any], loaded: Any, messages: Any = None) -> bool:
        filename = properties["fileName"]
        if fileType == "SceneFile":
            return _load_scene(filename, clear=bool(properties.get("clear", False)))
        name = properties.get("name") or Path(filename).name.split(".")[0]
        if fileType == "VolumeFile":
            options = (1 if properties.get("labelmap") else 0) + (4 if properties.get("singleFile") else 0)
            node = slicer.modules.volumes.logic().AddArchetypeVolume(filename, name, options)
        else:
            node = _read_with_storage_node(fileType, filename, name)
        if node is None:
            if messages is not None:
                messages.AddMessage(slicer.vtkCommand.ErrorEvent if hasattr(slicer, "vtkCommand") else 12, filename)
            return False
        loaded.AddItem(node)
        return True

    def saveNodes(self, fileType: str, properties: dict[str, Any], messages: Any = None) -> bool:
        filename = str(properties["fileName"])
        if fileType == "SceneFile":
            return _save_scene(filename)
        return _write(slicer.mrmlScene.GetNodeByID(properties["nodeID"]), filename, keep_storage=True)

    def exportNodes(
        self, nodeIDs: list[str], fileNames: list[str], _properties: Any, hardenTransform: bool, _messages: Any = None
    ) -> bool:
        if hardenTransform:
            raise NotImplementedError("The test host does not export in world coordinates; harden a copy and save it.")
        nodes = [slicer.mrmlScene.GetNodeByID(node_id) for node_id in nodeIDs]
        return all(_write(node, name, keep_storage=False) for node, name in zip(nodes, fileNames, strict=True))

    def extractKnownExtension(self, filename: str, _node: Any) -> str:
        known = (".seg.nrrd", ".nii.gz", ".h5")
        return next((end for end in known if filename.endswith(end)), Path(filename).suffix)

    def fileWriterExtensions(self, node: Any) -> list[str]:
        storage = node.CreateDefaultStorageNode()
        types = storage.GetSupportedWriteFileTypes()
        return [types.GetValue(index) for index in range(types.GetNumberOfValues())]


def _read_with_storage_node(file_type: str, filename: str, name: str) -> Any:
    node_class = {
        "SegmentationFile": "vtkMRMLSegmentationNode",
        "TransformFile": "vtkMRMLTransformNode",
        "TextFile": "vtkMRMLTextNode",
    }[file_type]
    node = slicer.mrmlScene.AddNewNodeByClass(node_class, name)
    node.AddDefaultStorageNode(filename)
    if not node.GetStorageNode().ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        return None
    if node.IsA("vtkMRMLDisplayableNode"):
        node.CreateDefaultDisplayNodes()
    return node


def _write(node: Any, filename: str, keep_storage: bool) -> bool:
    if keep_storage:
        node.AddDefaultStorageNode(filename)
        storage = node.GetStorageNode()
    else:
        storage = node.CreateDefaultStorageNode()
        storage.SetScene(slicer.mrmlScene)
    storage.SetFileName(filename)
    return bool(storage.WriteData(node))


def _save_scene(filename: str) -> bool:
    scene = slicer.mrmlScene
    if filename.endswith(".mrb"):
        return bool(scene.WriteToMRB(filename, None))
    scene.SetURL(filename)
    return bool(scene.Commit(filename))


def _load_scene(filename: str, clear: bool) -> bool:
    scene = slicer.mrmlScene
    if filename.endswith(".mrb"):
        return bool(scene.ReadFromMRB(filename, clear))
    scene.SetURL(filename)
    return bool(scene.Connect() if clear else scene.Import())
