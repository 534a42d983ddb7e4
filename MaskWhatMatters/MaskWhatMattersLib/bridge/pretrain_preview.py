"""The live picture of the tab "Pretrain": one slice of an image, with what the present settings would hide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from MaskWhatMattersLib.bridge.jobs import JobMonitor, runner_for
from MaskWhatMattersLib.bridge.latest_job import LatestJob
from MaskWhatMattersLib.bridge.nodes import volume_from_node, world_affine
from MaskWhatMattersLib.bridge.picture_view import PictureView
from MaskWhatMattersLib.bridge.widgets import describe_failure
from MaskWhatMattersLib.errors import GeometryError, JobError

_HEIGHT = 168
_QUIET_MS = 900
"""So long a text or a volume must rest: finding a prompt takes seconds, and a volume is sent as a whole."""
_WORKER_FORGOT = "Send the image"  # of the job, where its worker is a new one


class Preview:
    """One preview on the warm worker of this computer; the image travels once.

    Args:
        image: Volume node, or folder or manifest whose first image is shown.
        settings: From `training_settings`.
        position: Place of the slice from the feet to the head, 0..1; None: where what matters is largest.
    """

    def __init__(self, image: Any, settings: Mapping[str, Any], position: float | None = None) -> None:
        self._node = image if hasattr(image, "GetID") else None
        self._data = None if self._node is not None else Path(image)
        self._settings, self._position = settings, position
        self.key = _state_of(self._node) if self._node is not None else str(self._data)

    def submit(self, *, send: bool) -> Any:
        """Hand the job to the worker and return its handle.

        Args:
            send: Send the voxels along; not needed again as long as the worker knows the key.

        Raises:
            InputError: The image cannot be used.
        """
        from MaskWhatMattersLib.jobs.pretrain_preview_job import PretrainPreviewSpec

        shared = {name: self._settings[name] for name in ("preset", "method", "dims", "config", "device")}
        spec = PretrainPreviewSpec(key=self.key, data=self._data, position=self._position, **shared)
        data = (volume_from_node(self._node),) if send and self._node is not None else ()
        return runner_for().submit(spec, *data)


def preview_now(image: Any, settings: Mapping[str, Any], position: float | None = None) -> Any:
    """Wait for a preview and return it: a `MaskPreview`.

    Raises:
        InputError: Image or settings cannot be used.
        JobError: It could not be made.
    """
    found: list[Any] = []
    monitor = JobMonitor(
        Preview(image, settings, position).submit(send=True),
        on_finished=found.append,
        on_failed=found.append,
        on_cancelled=lambda: found.append(JobError("The preview was cancelled.")),
    )
    monitor.wait()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _state_of(node: Any) -> str:
    """The same as long as neither voxels nor place in the world of a volume change."""
    image = node.GetImageData()
    try:
        place = ",".join(f"{value:.9g}" for value in world_affine(node)[:3].flat)
    except GeometryError:  # said when the voxels are wanted
        place = "nowhere"
    time = image.GetMTime() if image is not None else 0
    return f"{node.GetScene().GetAddressAsString('')}-{node.GetID()}-{time}-{place}"


def _prompts_of(settings: Mapping[str, Any]) -> Any:
    return settings["config"].get("region", {}).get("prompts")


class LivePreview:
    """Keeps previewLabel and sliceSlider of a panel up to date, without ever waiting.

    Args:
        ui: Widgets by name.
        on_text: Called with one sentence or two on what is hidden.
    """

    def __init__(self, ui: Any, on_text: Callable[[str], None]) -> None:
        self._ui, self._on_text = ui, on_text
        self.picture = PictureView(ui.previewLabel, _HEIGHT)
        self.last: Any = None
        """The `MaskPreview` that is shown; None without one."""
        self._job = LatestJob(self._show, self._fail)
        self._asked: Any = None  # image, settings and place of the last request
        self._known = ""  # the image that the worker has
        self._position: float | None = None
        self._is_following = False
        self._observed: Any = None  # the volume node in the picture
        self._tags: list[int] = []
        ui.sliceSlider.connect("valueChanged(int)", self._on_slider)

    @property
    def is_busy(self) -> bool:
        """Whether a picture is on its way."""
        return self._job.is_busy

    def follow(self, image: Any, settings: Mapping[str, Any]) -> None:
        """Show an image with settings; cheap when they are shown already.

        Args:
            image: Volume node, or folder or manifest.
            settings: From `training_settings`.
        """
        before = self._asked
        if before is not None and image != before[1]:
            self._position = None  # another image: where what matters is largest
        asked = (Preview(image, settings).key, image, dict(settings), self._position)
        if asked == before:
            return
        self._asked = asked
        self._observe(image if hasattr(image, "GetID") else None)
        if before is None:
            self.picture.tell(_("Drawing..."))
        is_typed = before is not None and _prompts_of(settings) not in (None, _prompts_of(before[2]))
        is_edited = before is not None and image == before[1] and asked[0] != before[0]
        self._ask(_QUIET_MS if is_typed or is_edited else 0)

    def stop(self, text: str = "") -> None:
        """Show nothing, or why there is nothing."""
        self._job.stop()
        self._observe(None)
        self._asked = self.last = None
        self._on_text("")
        if text:
            self.picture.tell(text)
        else:
            self.picture.clear()
        self._ui.sliceSlider.enabled = False

    def _ask(self, quiet_ms: int = 0) -> None:
        _key, image, settings, position = self._asked
        preview = Preview(image, settings, position)

        def submit() -> Any:
            job = preview.submit(send=preview.key != self._known)
            self._known = preview.key
            return job

        self._job.ask(submit, quiet_ms)

    def _show(self, preview: Any) -> None:
        if self._asked is None:
            return
        self.last = preview
        self.picture.show(preview.png)
        self._on_text(preview.message)
        self._is_following = True
        self._ui.sliceSlider.enabled = True
        self._ui.sliceSlider.value = round(100 * preview.position)
        self._is_following = False

    def _fail(self, error: Exception) -> None:
        if self._asked is None:
            return
        key, self._known = self._known, ""
        if key and not isinstance(error, JobError) and _WORKER_FORGOT in str(error):
            self._ask()
            return
        failure = describe_failure(error)
        self.last = None
        self.picture.tell(f"{failure.what} {failure.advice}".strip())
        self._on_text("")

    def _observe(self, node: Any) -> None:
        """Follow the voxels and the place of one volume; None follows none."""
        if node is self._observed:
            return
        for tag in self._tags:
            self._observed.RemoveObserver(tag)
        self._observed, self._tags = node, []
        if node is not None:
            events = (
                slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
                slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
                vtk.vtkCommand.ModifiedEvent,  # origin and spacing; names and attributes do not change the key
            )
            self._tags = [node.AddObserver(event, self._on_node) for event in events]

    def _on_node(self, node: Any, _event: str) -> None:
        if self._asked is not None and node.GetScene() is not None and node.GetImageData() is not None:
            self.follow(node, self._asked[2])

    def _on_slider(self, value: int) -> None:
        if self._is_following or self._asked is None:
            return
        self._position = value / 100
        self._asked = (*self._asked[:3], self._position)
        self._ask()
