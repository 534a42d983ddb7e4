"""Pictures of slice and 3D views, drawn by Slicer's own displayable managers with software rendering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)
# vtkMRMLViewDisplayableManager is left out: it needs a real view's interactor and crashes without.
THREE_D_MANAGERS = ("vtkMRMLModelDisplayableManager", "vtkMRMLSegmentationsDisplayableManager3D")


def render_slice(view_name: str, path: Path | None, offset_mm: float | None, size: tuple[int, int]) -> np.ndarray:
    """What the slice view shows now, as RGB [H, W, 3] in 0..255, top row first; written as PNG when a path is given."""
    logic = slicer.app.layoutManager().sliceWidget(view_name).sliceLogic()
    node = logic.GetSliceNode()
    node.SetDimensions(*size, 1)
    if logic.GetBackgroundLayer().GetVolumeNode() is not None:
        logic.FitSliceToVolume(logic.GetBackgroundLayer().GetVolumeNode(), *size)
        logic.SnapSliceOffsetToIJK()
    if offset_mm is not None:
        logic.SetSliceOffset(offset_mm)
    renderer, window = _window(size)
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    image = vtk.vtkActor2D()
    image.SetMapper(mapper)
    image.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(image)
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetParallelScale(size[1] / 2)
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    group = _managers(factory, SLICE_MANAGERS, renderer, node)
    picture = _picture(window, path)
    _let_go(group, renderer, window)
    return picture


def render_3d(path: Path | None, size: tuple[int, int]) -> np.ndarray:
    """What the 3D view shows now, as RGB [H, W, 3] in 0..255; the camera is set to see everything."""
    renderer, window = _window(size)
    renderer.GradientBackgroundOn()
    renderer.SetBackground(0.756, 0.765, 0.910)
    renderer.SetBackground2(0.455, 0.471, 0.745)
    factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    node = slicer.app.layoutManager().threeDWidget(0).mrmlViewNode()
    group = _managers(factory, THREE_D_MANAGERS, renderer, node)
    renderer.GetActiveCamera().SetPosition(0.0, 500.0, 0.0)  # from the front, as Slicer does
    renderer.GetActiveCamera().SetViewUp(0.0, 0.0, 1.0)
    renderer.ResetCamera()
    picture = _picture(window, path)
    _let_go(group, renderer, window)
    return picture


def _window(size: tuple[int, int]) -> tuple[Any, Any]:
    renderer, window = vtk.vtkRenderer(), vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.AddRenderer(renderer)
    window.SetSize(*size)
    interactor = vtk.vtkGenericRenderWindowInteractor()  # displayable managers look for one
    interactor.SetRenderWindow(window)
    return renderer, window


def _managers(factory: Any, names: tuple[str, ...], renderer: Any, node: Any) -> Any:
    for name in names:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    group = factory.InstantiateDisplayableManagers(renderer)
    group.SetMRMLDisplayableNode(node)
    return group


def _picture(window: Any, path: Path | None) -> np.ndarray:
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1].copy()


def _let_go(group: Any, renderer: Any, window: Any) -> None:
    group.SetMRMLDisplayableNode(None)
    group.SetRenderer(None)
    window.RemoveRenderer(renderer)
    window.Finalize()
