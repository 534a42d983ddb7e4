"""One question to a volume: from the Apply button or the console to the nodes that answer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.answers import Row, clean_prompts, show_answer
from MaskWhatMattersLib.bridge.jobs import JobMonitor, runner_for
from MaskWhatMattersLib.bridge.nodes import nameless, require_voxels, volume_from_node
from MaskWhatMattersLib.bridge.regions import region_from_node
from MaskWhatMattersLib.bridge.setup import missing_packages
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError
from MaskWhatMattersLib.relevance.registry import localizer_info


class RelevanceRun:
    """A running or finished question.

    Attributes:
        nodes: Nodes that were made or updated, in the order of the prompts: overlay, segmentation, overlay, ...
        rows: One line per prompt, for the result table.
        error: Why it failed; None while it runs and when it went well.
        state: "running", "cancelling", "done", "failed" or "cancelled".
        volume_node: The volume that was asked about.
    """

    def __init__(
        self,
        runner: Any,
        volume_node: Any,
        prompts: str | Sequence[str],
        *,
        localizer: str = "builtin",
        threshold: float | None = None,
        device: str = "auto",
        modality: str | None = None,
        model: str | None = None,
        region_node: Any = None,
        segment_id: str | None = None,
        replace_nan: bool = False,
        is_remote: bool = False,
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
        on_end: Callable[[RelevanceRun], None] = lambda run: None,
    ) -> None:
        """Read the nodes, submit the job and return; what cannot work raises here, before anything is started.

        Raises:
            InputError: The prompts, the volume or the region cannot be used.
        """
        from MaskWhatMattersLib.jobs.relevance_job import RelevanceSpec

        cleaned = clean_prompts(prompts)
        volume = volume_from_node(volume_node, modality=modality, replace_nan=replace_nan)
        region = region_from_node(region_node, volume_node, segment_id) if localizer_info(localizer).needs_roi else None
        if is_remote:
            volume, region = nameless(volume), region if region is None else nameless(region)
        spec = RelevanceSpec(prompts=tuple(cleaned), localizer=localizer, model=model, device=device, modality=modality)
        self.nodes: list[Any] = []
        self.rows: list[Row] = []
        self.error: Exception | None = None
        self.state = "running"
        self.volume_node = volume_node
        self._volume_id = volume_node.GetID()
        self._volume_name = volume_node.GetName()
        self._threshold = threshold
        self._on_end = on_end
        self._monitor = JobMonitor(
            runner.submit(spec, volume, region),
            on_finished=self._finish,
            on_failed=self._fail,
            on_cancelled=lambda: self._end("cancelled"),
            on_event=on_event,
            on_tick=on_tick,
        )

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in ("running", "cancelling")

    def cancel(self) -> None:
        """Ask the job to stop."""
        if not self.done:
            self.state = "cancelling"
            self._monitor.cancel()

    def result(self) -> list[Any]:
        """Keep the application alive until the end and return the nodes.

        Raises:
            InputError: Something that the user gave cannot be used.
            JobError: The job failed.
            JobCancelledError: It was cancelled.
        """
        self._monitor.wait()
        if self.error is not None:
            raise self.error
        if self.state == "cancelled":
            raise JobCancelledError("The job was cancelled, so nothing was added to the scene.")
        return self.nodes

    def _finish(self, relevances: Any) -> None:
        volume_node = slicer.mrmlScene.GetNodeByID(self._volume_id)
        if volume_node is None:
            raise InputError(
                f'The volume "{self._volume_name}" was removed while it was worked on, so nothing was added. '
                "Choose another volume and press Apply."
            )
        for index, relevance in enumerate(relevances):
            row, nodes = show_answer(volume_node, relevance, threshold=self._threshold, index=index)
            self.rows.append(row)
            self.nodes.extend(nodes)
        self._end("done")

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._end("failed")

    def _end(self, state: str) -> None:
        self.state = state
        self._on_end(self)


def start_relevance(
    volume_node: Any,
    prompts: str | Sequence[str],
    *,
    scheduler: str = "",
    consent: bool = False,
    tls_files: tuple[str, str, str] = ("", "", ""),
    callbacks: dict[str, Callable[[Any], None] | None] | None = None,
    **options: Any,
) -> RelevanceRun:
    """Start a run on this computer's warm worker, or on a scheduler.

    Args:
        volume_node: Scalar volume node.
        prompts: A text with one prompt per line, or a list.
        scheduler: Address of a Dask scheduler; empty for this computer.
        consent: Agreement to send voxels to the scheduler.
        tls_files: CA, certificate and key of the scheduler.
        callbacks: on_event, on_tick and on_end of `RelevanceRun`; None where nobody listens.
        **options: The rest of what `RelevanceRun` takes.

    Raises:
        InputError: Something cannot be used; said first, because no installation would mend it.
        JobError: A package is missing.
    """
    clean_prompts(prompts)
    require_voxels(volume_node)
    missing = missing_packages()
    if missing:
        raise JobError(
            f"Packages are missing: {', '.join(missing)}.",
            hint="Open the module Mask What Matters and press the button in its first line.",
        )
    ca, certificate, key = tls_files
    runner = runner_for(scheduler, consent=consent, tls_ca=ca, tls_cert=certificate, tls_key=key)
    listening: dict[str, Any] = {name: callback for name, callback in (callbacks or {}).items() if callback is not None}
    return RelevanceRun(runner, volume_node, prompts, is_remote=bool(scheduler), **listening, **options)
