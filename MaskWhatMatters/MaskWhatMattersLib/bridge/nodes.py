"""Volume nodes and `Volume`: into the library with every linear transform applied, and back onto the same grid.

The scene is never changed by reading it: transforms are composed with the affine of a copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from MaskWhatMattersLib.errors import GeometryError, InputError
from MaskWhatMattersLib.volumes import Volume
from MaskWhatMattersLib.volumes.checks import count_not_finite, replace_not_finite
from MaskWhatMattersLib.volumes.dicom import modality_of
from MaskWhatMattersLib.volumes.geometry import Affine
from MaskWhatMattersLib.volumes.pictures import grey_of

Node = Any
"""A node of the scene; VTK's classes carry no types."""

Array = NDArray[Any]

_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


def volume_from_node(node: Node, *, modality: str | None = None, replace_nan: bool | None = None) -> Volume:
    """Copy a scalar volume node into a `Volume` in world coordinates.

    Args:
        node: vtkMRMLScalarVolumeNode; linear parent transforms are applied to the copy.
        modality: "CT", "MR" or "XR" where the user says so; otherwise what DICOM says.
        replace_nan: Give voxels that are NaN or infinite the darkest value of the scan instead of refusing them;
            None refuses them where the user is not offered that choice.

    Returns:
        Array [1, D, H, W] in the node's own number type.

    Raises:
        InputError: No node, no voxels, several values per voxel, or voxels that are not finite.
        GeometryError: A non-linear parent transform, or one that shears.
    """
    volume = Volume(
        array=voxels_of(node),
        affine=world_affine(node),
        name=node.GetName() or "",
        modality=modality or _dicom_modality(node),
        has_physical_scale=has_physical_scale(node, modality),
    )
    missing = count_not_finite(volume)
    if missing and not replace_nan:
        choice = 'Tick "Replace missing values" under Advanced (replaceNan=True in the console), or repair the volume.'
        advice = "Repair the volume first, or leave it out." if replace_nan is None else choice
        raise InputError(f'{missing} voxels of "{volume.name}" hold no number (NaN or infinity). {advice}')
    if missing:
        finite = volume.array[np.isfinite(volume.array)]
        volume = replace_not_finite(volume, float(finite.min()) if finite.size else 0.0)
    return volume


def nameless(volume: Volume) -> Volume:
    """The same voxels as another computer gets them: nodes are often called after patients."""
    return replace(volume, name="")


def require_voxels(node: Node) -> Any:
    """The image of a volume node with one value per voxel, or with colours, which may turn out to be grey.

    Raises:
        InputError: No node, no voxels, or vectors, tensors or time series.
    """
    if node is None:
        raise InputError("There is no volume to look at; found none selected. Load a scan and choose it as input.")
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None or 0 in image.GetDimensions():
        raise InputError(f'The volume "{node.GetName()}" has no voxels. Load the scan again, or choose another volume.')
    components = image.GetNumberOfScalarComponents()
    is_scalar = node.IsA("vtkMRMLScalarVolumeNode") and not node.IsA("vtkMRMLTensorVolumeNode")
    may_be_grey = _has_colors(node) and components in (3, 4) and image.GetScalarTypeAsString() == "unsigned char"
    if not may_be_grey and (components != 1 or not (is_scalar or _has_colors(node))):
        raise InputError(
            f'The volume "{node.GetName()}" has {components} values per voxel (colour, vector or time series). '
            "Choose one frame, or make it grey with the Vector to Scalar Volume module."
        )
    return image


def voxels_of(node: Node, *, copy: bool = True) -> Array:
    """The voxels, [1, D, H, W]; grey that is stored as red, green and blue becomes one value.

    Args:
        node: Volume node.
        copy: Give an array of its own; otherwise, where possible, the node's, to look at and not to keep.

    Raises:
        InputError: No node, no voxels, several values per voxel, or true colour.
    """
    from vtk.util.numpy_support import vtk_to_numpy

    image = require_voxels(node)
    shape = tuple(reversed(image.GetDimensions()))
    flat = vtk_to_numpy(image.GetPointData().GetScalars())
    if image.GetNumberOfScalarComponents() == 1:
        array: Array = flat.reshape((1, *shape))
        return array.copy() if copy else array
    try:
        return grey_of(flat[:, :3]).reshape((1, *shape))
    except InputError as error:
        raise InputError(f'The volume "{node.GetName()}": {error}') from error


def world_affine(node: Node) -> Affine:
    """(i, j, k) of a volume node to RAS mm in the world, with all linear parent transforms applied.

    Raises:
        GeometryError: A parent transform is not linear.
    """
    return world_from_parent(node) @ local_affine(node)


def voxel_volume_ml(node: Node) -> float:
    """Volume of one voxel in the world, mL."""
    return float(abs(np.linalg.det(world_affine(node)[:3, :3]))) / 1000.0


def local_affine(node: Node) -> Affine:
    """(i, j, k) of a volume node to its own RAS mm, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return array_from_matrix(matrix)


def world_from_parent(node: Node) -> Affine:
    """4x4 from the coordinates of a node to the world: all its linear parent transforms.

    Raises:
        GeometryError: A parent transform is not linear.
    """
    matrix = vtk.vtkMatrix4x4()
    transform = node.GetParentTransformNode()
    if transform and not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(transform, None, matrix):
        raise GeometryError(
            f'"{node.GetName()}" lies under a non-linear transform ("{transform.GetName()}"), which cannot be '
            "applied without changing voxels. Harden the transform on a copy (Transforms module), or resample first."
        )
    return array_from_matrix(matrix)


def node_from_volume(scene: Any, volume: Volume, name: str | None = None) -> Node:
    """Add a scalar volume node with the first channel of a volume, at its place in the world.

    Raises:
        InputError: More than one channel.
    """
    if volume.channels != 1:
        raise InputError(f"A scalar volume has one value per voxel; found {volume.channels}. Choose one channel.")
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", unique_name(scene, name or volume.name or "Volume"))
    set_voxels(node, volume.array[0], volume.affine)
    node.CreateDefaultDisplayNodes()
    return node


def set_voxels(node: Node, array: Array, affine: Affine) -> None:
    """Give a volume node other voxels, [D, H, W], and another affine in its own coordinates."""
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:  # no VTK number type
        array = array.astype(np.float32)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array))
    node.SetIJKToRASMatrix(matrix_from_array(affine))


def follow_transform(node: Node, source: Node) -> None:
    """Put a node under the same parent transform as another."""
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())


def place_beside(node: Node, source: Node) -> None:
    """Move a node next to another in subject hierarchy: under the same study or folder."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None:
        return
    item, source_item = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(source)
    if not source_item:
        return
    parent = hierarchy.GetItemParent(source_item)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:  # Slicer's subject hierarchy plugins, which add items by themselves, are not loaded
        hierarchy.CreateItem(parent, node)


def unique_name(scene: Any, name: str) -> str:
    """The name itself, or the name with the first number that is free: nodes of the user keep theirs."""
    candidate, number = name, 1
    while scene.GetFirstNodeByName(candidate) is not None:
        number += 1
        candidate = f"{name} ({number})"
    return candidate


def array_from_matrix(matrix: Any) -> Affine:
    """vtkMatrix4x4 as float64 4x4."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def matrix_from_array(array: Affine) -> Any:
    """Float 4x4 as vtkMatrix4x4."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(array[row, column]))
    return matrix


def _dicom_modality(node: Node) -> str | None:
    """What DICOM says the scan is, kept by the DICOM module on the series in subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene()) if node.GetScene() else None
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return modality_of(hierarchy.GetItemAttribute(item, "DICOM.Modality")) if hierarchy and item else None


def _has_colors(node: Node) -> bool:
    return bool(node.IsA("vtkMRMLVectorVolumeNode")) and not node.IsA("vtkMRMLDiffusionImageVolumeNode")


def has_physical_scale(node: Node, modality: str | None = None) -> bool:
    """Whether the millimetres of a volume node mean anything.

    They do not in a PNG or JPEG picture, nor in one slice that the user calls an X-ray: a projection has no depth.
    """
    image = node.GetImageData()
    if modality == "XR" and image is not None and 1 in image.GetDimensions():
        return False
    storage = node.GetStorageNode()
    name = (storage.GetFileName() or "") if storage else ""
    return not name.lower().endswith(_PICTURE_SUFFIXES)
