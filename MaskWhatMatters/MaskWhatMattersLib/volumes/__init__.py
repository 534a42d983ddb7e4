"""Volumes: voxels with their place in the patient; light (numpy and SimpleITK, nothing else at import)."""

from MaskWhatMattersLib.volumes.volume import Volume

__all__ = ["Volume"]
