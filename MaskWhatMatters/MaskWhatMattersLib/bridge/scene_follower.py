"""Follows the scene and some segmentations, and tells of changes once, a moment after the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qt
import slicer

_DELAY_MS = 100  # an edit, or a scene that is closed, sends many events


class SceneFollower:
    """Calls back after nodes came, went or changed.

    Args:
        on_change: Called without arguments.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._scene_observers: list[tuple[Any, int]] = []
        self._node_observers: list[tuple[Any, int]] = []
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.connect("timeout()", on_change)

    def start(self) -> None:
        """Follow the scene from now on."""
        self.stop()
        scene = slicer.mrmlScene
        self._scene_observers = [
            self._observe(scene, event) for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent)
        ]

    def watch(self, segmentations: Iterable[Any]) -> None:
        """Follow these segmentation nodes as well, instead of those before; none while the scene is not followed."""
        for node, tag in self._node_observers:
            node.RemoveObserver(tag)
        self._node_observers = []
        for node in segmentations if self._scene_observers else ():
            edited = slicer.vtkSegmentation.SourceRepresentationModified
            self._node_observers.append(self._observe(node, "ModifiedEvent"))
            self._node_observers.append(self._observe(node.GetSegmentation(), edited))

    def stop(self) -> None:
        """Look away, as while the panel is not on screen, or before the scene is closed."""
        self._timer.stop()
        for node, tag in self._scene_observers + self._node_observers:
            node.RemoveObserver(tag)
        self._scene_observers, self._node_observers = [], []

    def _observe(self, node: Any, event: Any) -> tuple[Any, int]:
        return node, node.AddObserver(event, lambda *_: self._timer.start())
