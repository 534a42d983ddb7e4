"""A job that only answers: shows before work begins that a scheduler can be reached and has this library."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from MaskWhatMattersLib.jobs import JobSpec

if TYPE_CHECKING:
    from MaskWhatMattersLib.progress import Progress


class ProbeSpec(JobSpec):
    """Nothing to set."""

    function: ClassVar[str] = "MaskWhatMattersLib.cli.probe:run"


def run(spec: ProbeSpec, context: Progress) -> bool:
    """Say that the worker is there."""
    return True
