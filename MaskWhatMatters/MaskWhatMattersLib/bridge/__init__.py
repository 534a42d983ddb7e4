"""Bridge to Slicer: the only room that imports slicer, vtk or qt. What happens here happens on the main thread."""
