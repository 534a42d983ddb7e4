"""Jobs of which each waits for the one before it, as for several scans: from the Apply button to the nodes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import slicer

from MaskWhatMattersLib.bridge.jobs import JobMonitor
from MaskWhatMattersLib.errors import InputError, JobCancelledError, JobError


@dataclass(frozen=True)
class Step:
    """One job of a queue.

    Attributes:
        name: What the user calls it, for example the name of the scan; empty where there is nothing to name.
        submit: Reads what the job needs, hands it over and gives its handle.
        show: Takes the job's result and gives the nodes that it made or updated.
        fail: Told why there is no result.
        is_needed: Whether the steps after it are of no use without it.
    """

    name: str
    submit: Callable[[], Any]
    show: Callable[[Any], list[Any]]
    fail: Callable[[Exception], None] = lambda error: None
    is_needed: bool = False


class JobQueue:
    """Running or finished steps, one job after the other.

    Steps that are done stay done: cancelling, or an error in a later one, takes back no finished result. An error in
    one of several steps does not keep the others from being tried, unless it is needed by them.

    Attributes:
        nodes: Nodes that were made or updated.
        errors: What went wrong, as (name of the step, exception).
        error: What to report at the end: the first error, unless something was made; None when all went well.
        made: How many steps have their result, those left out that others only need.
        state: "running", "cancelling", "done", "failed" or "cancelled".
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        on_event: Callable[[Any], None] = lambda event: None,
        on_tick: Callable[[float], None] = lambda seconds: None,
        on_end: Callable[[Any], None] = lambda run: None,
    ) -> None:
        """Submit the first step and return; of a single step, or one that is needed, what cannot work raises here.

        Raises:
            InputError: What the only step needs cannot be used.
        """
        self.nodes: list[Any] = []
        self.errors: list[tuple[str, Exception]] = []
        self.made = 0
        self.state = "running"
        self._steps = list(steps)
        self._on_event, self._on_tick, self._on_end = on_event, on_tick, on_end
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
        return self.errors[0][1] if self.errors and not self.made else None

    def cancel(self) -> None:
        """Ask the present job to stop; steps that wait are not begun."""
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
        """Submit the next step that can be read, or end."""
        while self._index + 1 < len(self._steps):
            self._index += 1
            step = self._steps[self._index]
            try:
                job = step.submit()
            except (InputError, JobError) as error:
                if self._monitor is None and (step.is_needed or len(self._steps) == 1):
                    raise
                self._note_error(step, error)
                if step.is_needed:
                    break
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
        self._end("failed" if self.errors and not self.made else "done")

    def _finish(self, result: Any) -> None:
        step = self._steps[self._index]
        self.nodes += step.show(result)
        self.made += not step.is_needed
        self._go_on()

    def _fail(self, error: Exception) -> None:
        step = self._steps[self._index]
        self._note_error(step, error)
        if step.is_needed:
            self._end("failed")
        else:
            self._go_on()

    def _note_error(self, step: Step, error: Exception) -> None:
        self.errors.append((step.name, error))
        step.fail(error)

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
        named = [step for step in self._steps if step.name]
        step = self._steps[self._index]
        if len(named) > 1 and step.name and event.stage:
            where = f"{step.name} ({named.index(step) + 1}/{len(named)})"
            event = replace(event, stage=f"{where}: {event.stage}")
        self._on_event(event)


@dataclass(frozen=True)
class NodeInQueue:
    """A node that waits; by ID, since it may be removed meanwhile."""

    node_id: str
    name: str

    @classmethod
    def of(cls, node: Any) -> NodeInQueue:
        """What is needed to find a node again."""
        return cls(node.GetID(), node.GetName())

    def find(self) -> Any:
        """The node.

        Raises:
            InputError: It was removed.
        """
        node = slicer.mrmlScene.GetNodeByID(self.node_id)
        if node is None:
            raise InputError(
                f'The volume "{self.name}" was removed while it was worked on, so nothing was added for it. '
                "Choose another volume and press Apply."
            )
        return node
