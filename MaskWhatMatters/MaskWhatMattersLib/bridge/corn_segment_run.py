"""Left atria of one or more scans: from the Apply button or the console to the nodes that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.corn_results import AtriumRow, atrium_rows, show_atrium
from MaskWhatMattersLib.bridge.job_queue import JobQueue, NodeInQueue, Step
from MaskWhatMattersLib.bridge.jobs import runner_for
from MaskWhatMattersLib.bridge.nodes import nameless, require_voxels, volume_from_node
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.errors import InputError, JobError

PACKAGES = ("torch", "monai", "safetensors")
"""Import names of what the network needs, beside what every job needs."""


class CornSegmentRun(JobQueue):
    """A running or finished segmentation of one or more scans, one job after the other."""

    def __init__(
        self,
        runner: Any,
        spec: Any,
        volume_nodes: Sequence[Any],
        *,
        body_surface_m2: float | None = None,
        replace_nan: bool = False,
        is_remote: bool = False,
        **listening: Callable[[Any], None],
    ) -> None:
        """Submit the first scan and return; with a single scan, what cannot work raises here.

        Raises:
            InputError: The only scan cannot be used.
        """

        def step(scan: NodeInQueue) -> Step:
            def submit() -> Any:
                volume = volume_from_node(scan.find(), replace_nan=replace_nan)
                return runner.submit(spec, nameless(volume) if is_remote else volume)

            return Step(scan.name, submit, lambda result: show_atrium(scan.find(), result, body_surface_m2))

        super().__init__([step(NodeInQueue.of(node)) for node in volume_nodes], **listening)

    @property
    def rows(self) -> list[AtriumRow]:
        """The figures of what was made."""
        made = {node.GetID() for node in self.nodes}
        return [row for row in atrium_rows(slicer.mrmlScene) if row.segmentation.GetID() in made]


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
        callbacks: on_event, on_tick and on_end of `JobQueue`; None where nobody listens.
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
