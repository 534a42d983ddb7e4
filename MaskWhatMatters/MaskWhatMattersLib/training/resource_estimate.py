"""What a training needs, as the job answers; apart from the measurement, so that Slicer reads it without torch."""

from __future__ import annotations

from dataclasses import dataclass

_GB = 2**30  # as memory is sold and as task managers count it


@dataclass(frozen=True)
class ResourceEstimate:
    """What a training needs.

    Attributes:
        step_s: Time of one step, s.
        peak_bytes: Most memory that a step used: on a GPU by this program's tensors, else by the whole program.
        available_bytes: Memory that the program could use: what it has and what is free.
        total_bytes: Memory of the device.
        steps: Steps of the training.
    """

    step_s: float
    peak_bytes: int
    available_bytes: int
    total_bytes: int
    steps: int

    @property
    def total_s(self) -> float:
        """Time of the whole training, s; validation and checkpoints come on top."""
        return self.steps * self.step_s

    @property
    def fits(self) -> bool:
        """Whether a step needs no more memory than there is."""
        return self.peak_bytes <= self.available_bytes

    def steps_within(self, minutes: float) -> int:
        """Steps that fit into a budget; at least one."""
        return max(1, int(60 * minutes / self.step_s))

    def words(self) -> str:
        """For a person: "about 2 h 10 min, 5.3 GB of 16 GB"."""
        return f"about {duration_words(self.total_s)}, {_gigabytes(self.peak_bytes)} of {_gigabytes(self.total_bytes)}"


def duration_words(seconds: float) -> str:
    """A duration as people say it, with at most two units: "2 h 10 min", "3 min", "20 s"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _gigabytes(count: int) -> str:
    value = count / _GB
    return f"{value:.1f} GB" if value < 10 else f"{value:.0f} GB"
