"""Left atria of one or more scans: from the Apply button or the console to the nodes that show them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.corn_results import AtriumRow, atrium_rows, show_atrium
from MaskWhatMattersLib.bridge.jobs import JobMonitor, runner_for
from MaskWhatMattersLib.bridge.nodes import nameless, require_voxels, volume_from_node
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError

PACKAGES = ("torch", "monai", "safetensors")
"""Import names of what the network needs, beside what every job needs."""


@dataclass(frozen=True)
class _Scan:
    """A scan that waits; by ID, since it may be removed meanwhile."""

    node_id: str
    name: str


class CornSegmentRun:
    """A running or finished segmentation of one or more scans, one job after the other.

    Scans that are done stay done: cancelling, or an error in a later one, takes back no finished result. An error in
    one of several scans does not keep the others from being tried.

    Attributes:
        nodes: Nodes that were made or updated: segmentation, overlay, segmentation, ...
        errors: What went wrong, as (name of the scan, exception).
        error: What to report at the end: the first error, unless something was made; None when all went well.
        state: "running", "cancelling", "done", "failed" or "cancelled".
    """

    def __init__(
        self,
        runner: Any,
        spec: Any,
        volume_nodes: Sequence[Any],
        *,
        body_surface_m2: float | None = None,
        replace_nan: bool = False,
        is_remote: bool = False,
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
        on_end: Callable[[CornSegmentRun], None] = lambda run: None,
    ) -> None:
        """Submit the first scan and return; with a single scan, what cannot work raises here.

        Raises:
            InputError: The only scan cannot be used.
        """
        self.nodes: list[Any] = []
        self.errors: list[tuple[str, Exception]] = []
        self.state = "running"
        self._runner, self._spec = runner, spec
        self._is_remote = is_remote
        self._body_surface_m2, self._replace_nan = body_surface_m2, replace_nan
        self._on_event, self._on_tick, self._on_end = on_event, on_tick, on_end
        self._scans = [_Scan(node.GetID(), node.GetName()) for node in volume_nodes]
        self._index = -1
        self._started = time.monotonic()
        self._monitor: JobMonitor | None = None
        self._next()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in ("running", "cancelling")

    @property
    def error(self) -> Exception | None:
        """The first error, when nothing was made."""
        return self.errors[0][1] if self.errors and not self.nodes else None

    @property
    def rows(self) -> list[AtriumRow]:
        """The figures of what was made."""
        made = {node.GetID() for node in self.nodes}
        return [row for row in atrium_rows(slicer.mrmlScene) if row.segmentation.GetID() in made]

    def cancel(self) -> None:
        """Ask the present job to stop; scans that wait are not begun."""
        if not self.done and self._monitor is not None:
            self.state = "cancelling"
            self._monitor.cancel()

    def result(self) -> list[Any]:
        """Keep the application alive until the end and return the nodes.

        Raises:
            InputError: Something that the user gave cannot be used.
            JobError: The job failed.
            JobCancelledError: It was cancelled.
        """
        while not self.done and self._monitor is not None:  # a job that ends begins the next
            self._monitor.wait()
        if self.error is not None:
            raise self.error
        if self.state == "cancelled":
            raise JobCancelledError("The job was cancelled; scans that were not finished got no segmentation.")
        return self.nodes

    def _next(self) -> None:
        """Submit the next scan that can be read, or end."""
        while self._index + 1 < len(self._scans):
            self._index += 1
            scan = self._scans[self._index]
            try:
                volume = volume_from_node(self._node_of(scan), replace_nan=self._replace_nan)
                job = self._runner.submit(self._spec, nameless(volume) if self._is_remote else volume)
            except (InputError, JobError) as error:
                if len(self._scans) == 1:
                    raise
                self.errors.append((scan.name, error))
                continue
            self._monitor = JobMonitor(
                job,
                on_finished=self._finish,
                on_failed=self._fail,
                on_cancelled=lambda: self._end("cancelled"),
                on_event=self._pass_event,
                on_tick=lambda _seconds: self._on_tick(time.monotonic() - self._started),
            )
            return
        self._end("done" if self.nodes else "failed")

    def _finish(self, result: Any) -> None:
        self.nodes += show_atrium(self._node_of(self._scans[self._index]), result, self._body_surface_m2)
        self._go_on()

    def _fail(self, error: Exception) -> None:
        self.errors.append((self._scans[self._index].name, error))
        self._go_on()

    def _go_on(self) -> None:
        if self.state == "cancelling":
            self._end("cancelled")
        else:
            self._next()

    def _end(self, state: str) -> None:
        if self.done:  # the callback below raised, and the monitor reports that as a failure
            return
        self.state = state
        for name, error in self.errors:
            logging.warning("%s got no segmentation. %s", name, error)
        self._on_end(self)

    def _pass_event(self, event: Any) -> None:
        if len(self._scans) > 1 and event.stage:
            where = f"{self._scans[self._index].name} ({self._index + 1}/{len(self._scans)})"
            event = replace(event, stage=f"{where}: {event.stage}")
        self._on_event(event)

    @staticmethod
    def _node_of(scan: _Scan) -> Any:
        node = slicer.mrmlScene.GetNodeByID(scan.node_id)
        if node is None:
            raise InputError(
                f'The volume "{scan.name}" was removed while it was worked on, so nothing was added for it. '
                "Choose another volume and press Apply."
            )
        return node


def start_segmentation(
    volume_nodes: Any,
    *,
    model: str | None = None,
    field_of_view: str = "auto",
    mirrored: bool = False,
    device: str = "auto",
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    callbacks: dict[str, Callable[[Any], None] | None] | None = None,
    **options: Any,
) -> CornSegmentRun:
    """Start a run on this computer's warm worker, or on a scheduler.

    Args:
        volume_nodes: Scalar volume node, or several.
        model: Name or file of the model; None takes the one that comes with the extension.
        field_of_view: "auto", "crop" or "full".
        mirrored: Average over mirrored scans.
        device: "auto", "cpu", "cuda" or "mps".
        scheduler: Address of a Dask scheduler; empty for this computer.
        consent: Agreement to send voxels to the scheduler.
        tls_files: CA, certificate and key of the scheduler.
        callbacks: on_event, on_tick and on_end of `CornSegmentRun`; None where nobody listens.
        **options: The rest of what `CornSegmentRun` takes.

    Raises:
        InputError: Something cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    nodes = list(volume_nodes) if isinstance(volume_nodes, Sequence) else [volume_nodes]
    if not nodes:
        raise InputError("There is no volume to segment; found an empty list. Give at least one scan.")
    for node in nodes if len(nodes) == 1 else [node for node in nodes if node is None]:
        require_voxels(node)
    missing = missing_packages(() if scheduler else PACKAGES)
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Corn Segmentation and press the button in its first line.",
        )
    from MaskWhatMattersLib.jobs.corn_segment_job import CornSegmentSpec

    spec = CornSegmentSpec(model=model, device=device, field_of_view=field_of_view, mirrored=mirrored)
    ca, certificate, key = tls_files
    runner = runner_for(scheduler, consent=consent, tls_ca=ca, tls_cert=certificate, tls_key=key)
    listening: dict[str, Any] = {name: callback for name, callback in (callbacks or {}).items() if callback is not None}
    return CornSegmentRun(runner, spec, nodes, is_remote=bool(scheduler), **listening, **options)
